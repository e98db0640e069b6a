local status = obj.status or {}
local value = nil
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" then
    for _, entry in ipairs(status.history or {}) do
      if value == nil and entry.outcome == condition.reason then
        value = entry.revision .. "/" .. entry.attempt
      end
    end
  end
end
if value == nil then
  error("no version was refused that could be tried again")
end
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["pointsman.dev/retry"] = value
return obj
