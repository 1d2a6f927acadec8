"""The gateway: an OpenAI-compatible server that draws as many samples as a policy decides."""
