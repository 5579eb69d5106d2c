"""text-embeddings-inference as an engine: embeddings, rerankers and classifiers, on CPU and GPU.

What is written here was read in its source of 1.9.3 (github.com/huggingface/
text-embeddings-inference, tag v1.9.3) and compared with 1.9.0: the program ran nowhere here, since
it is built of Rust, CUDA and MKL and comes as images alone. Each fact names its file. Its parser
alone, built of router/src/main.rs with clap 4, took our command lines, and refused what `flags` and
the findings say that it refuses.
"""
