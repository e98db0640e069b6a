local status = obj.status or {}
local rollout = status.rollout
local running = rollout ~= nil and status.candidate ~= nil and rollout.phase ~= "RollingBack"
local annotations = obj.metadata.annotations or {}

local refused = false
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" then
    refused = condition.reason == "RolledBack" or condition.reason == "Aborted"
  end
end

local actions = {}
actions["promote"] = {["disabled"] = not running or rollout.phase == "Promoting"}
actions["abort"] = {["disabled"] = not running and status.previous == nil}
actions["approve"] = {["disabled"] = not running or rollout.phase ~= "AwaitingApproval"}
actions["pause"] = {["disabled"] = not running or annotations["pointsman.dev/pause"] ~= nil}
actions["resume"] = {["disabled"] = annotations["pointsman.dev/pause"] == nil}
actions["retry"] = {["disabled"] = not refused}
return actions
