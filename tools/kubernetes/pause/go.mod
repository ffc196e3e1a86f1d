module drydock/tools/kubernetes/pause

go 1.24
