local status = obj.status or {}
local value = nil
if status.rollout ~= nil and status.candidate ~= nil then
  value = status.candidate.revision .. "/" .. status.rollout.attempt
elseif status.previous ~= nil then
  -- After a promotion, as long as the previous version's pods are kept: the attempt that ended with it.
  for _, entry in ipairs(status.history or {}) do
    if value == nil and entry.revision == status.stable.revision then
      value = entry.revision .. "/" .. entry.attempt
    end
  end
end
if value == nil then
  error("no rollout runs, and no previous version is kept that could take the traffic back")
end
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["pointsman.dev/abort"] = value
return obj
