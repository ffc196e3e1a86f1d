module seaworthy/tools/kubernetes/pause

go 1.24
