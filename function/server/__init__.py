"""The gRPC server, and RunFunction: protobuf in, protobuf out, nowhere else."""
