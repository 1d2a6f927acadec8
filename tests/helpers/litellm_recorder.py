"""A callback of LiteLLM that writes down what LiteLLM computes each request to cost: its own figure."""

import json
import os

from litellm.integrations.custom_logger import CustomLogger


class Recorder(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        with open(os.environ["LITELLM_RECORD"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"id": kwargs["litellm_call_id"], "cost": kwargs["response_cost"]}) + "\n")


hook = Recorder()
