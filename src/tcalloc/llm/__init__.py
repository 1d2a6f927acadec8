"""Language models over HTTP: questions, an OpenAI-compatible client, the sampler, graders, a local model."""
