if obj.metadata.annotations ~= nil then
  obj.metadata.annotations["pointsman.dev/pause"] = nil
end
return obj
