local status = obj.status or {}
if status.rollout == nil or status.candidate == nil then
  error("no rollout runs that could be promoted")
end
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["pointsman.dev/promote"] = status.candidate.revision .. "/" .. status.rollout.attempt
return obj
