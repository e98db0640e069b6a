-- What has become of one version. A version that was rolled back stays Degraded in the tree, below a ModelDeployment that may be Healthy again.
local health = {status = "Progressing", message = "waiting for the operator"}
if obj.status == nil or obj.status.state == nil then
  return health
end

local state = obj.status.state
local attempts = obj.status.attempts or {}
local last = attempts[#attempts] or {}

health.message = "version " .. obj.spec.model.version .. ": " .. state
if state == "RolledBack" then
  health.status = "Degraded"
  if last.message ~= nil then
    health.message = last.message
  end
elseif state ~= "Candidate" then
  health.status = "Healthy"
end
return health
