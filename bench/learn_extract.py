"""Prints the suites of agentdojo as JSON: tools, ground truths of user tasks and of injection tasks.

Run by the interpreter of the environment that `scripts/setup bench` makes for it; it knows nothing of Bailiwick.
"""

import json
import sys

from agentdojo.task_suite.load_suites import get_suites  # pyright: ignore  # is installed elsewhere

found = {}
for name, suite in get_suites("v1.2.1").items():
    environment = suite.load_and_inject_default_environment({})

    def calls(task, environment=environment):
        return [{"tool": call.function, "args": call.args} for call in task.ground_truth(environment)]

    found[name] = {
        "tools": {tool.name: list(tool.parameters.model_json_schema().get("properties", {})) for tool in suite.tools},
        "user": [calls(task) for task in suite.user_tasks.values()],
        "injection": {key: calls(task) for key, task in suite.injection_tasks.items()},
    }
json.dump(found, sys.stdout, default=str)
