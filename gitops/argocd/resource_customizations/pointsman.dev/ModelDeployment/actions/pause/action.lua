obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["pointsman.dev/pause"] = "true"
return obj
