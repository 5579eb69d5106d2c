module inference-service/tools/stand-ins

go 1.26.0
