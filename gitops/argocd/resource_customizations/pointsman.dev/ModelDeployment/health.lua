-- The same as kstatus says of the conditions, but for what waits for a person: that is Suspended.
local health = {status = "Progressing", message = "waiting for the operator"}
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "waiting for the operator to read the newest spec"
  return health
end

local said = {}
for _, condition in ipairs(obj.status.conditions) do
  said[condition.type] = condition
end
local function is(kind, status)
  return said[kind] ~= nil and said[kind].status == status
end
local function message(kind)
  return said[kind] ~= nil and said[kind].message or ""
end
local why = said.UpToDate ~= nil and said.UpToDate.reason or ""

if is("Accepted", "False") then
  health.status = "Degraded"
  health.message = message("Accepted")
elseif why == "RolledBack" or why == "Aborted" then
  health.status = "Degraded"
  health.message = message("UpToDate")
elseif is("Stalled", "True") then
  health.status = "Degraded"
  health.message = message("Stalled")
elseif is("Ready", "False") then
  health.message = message("Ready")
elseif why == "AwaitingApproval" then
  health.status = "Suspended"
  health.message = message("UpToDate")
elseif why == "Paused" then
  health.status = "Suspended"
  health.message = message("Paused")
elseif not is("UpToDate", "True") then
  health.message = message("UpToDate")
elseif is("Ready", "True") then
  health.status = "Healthy"
  health.message = is("Drifted", "True") and message("Drifted") or message("UpToDate")
end
return health
