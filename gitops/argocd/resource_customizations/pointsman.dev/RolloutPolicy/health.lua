local health = {status = "Progressing", message = "waiting for the operator"}
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Accepted" and condition.status == "True" then
    health.status = "Healthy"
    health.message = condition.message or ""
  elseif condition.type == "Accepted" and condition.status == "False" then
    health.status = "Degraded"
    health.message = condition.message or ""
  end
end
return health
