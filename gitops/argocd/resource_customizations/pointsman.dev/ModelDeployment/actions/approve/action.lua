local status = obj.status or {}
if status.rollout == nil or status.candidate == nil or status.rollout.phase ~= "AwaitingApproval" then
  error("no step waits for approval")
end
local rollout = status.rollout
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["pointsman.dev/approve"] =
  status.candidate.revision .. "/" .. rollout.attempt .. "/" .. rollout.step
return obj
