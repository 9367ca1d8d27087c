"""A client of ComfyUI's HTTP interface: queue a workflow, wait for it, fetch its images."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

_POLL_SECONDS = 0.1


class PromptError(RuntimeError):
    """ComfyUI refused a prompt, or one of its nodes failed; the message names the node."""


def _describe_refusal(body: bytes) -> str:
    """Put ComfyUI's answer to an invalid prompt into words."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")[:2000]
    lines = [answer.get("error", {}).get("message", "ComfyUI refused the prompt")]
    for node_id, node in (answer.get("node_errors") or {}).items():
        for error in node.get("errors", []):
            reason = f"{error.get('message', '')}: {error.get('details', '')}".strip(": ")
            lines.append(f"node {node_id} ({node.get('class_type')}): {reason}")
    return "\n".join(lines)


def _describe_failure(status: dict[str, Any]) -> str:
    """Put a failed history entry into words, naming the node and its exception."""
    for kind, details in status.get("messages", []):
        if kind == "execution_interrupted":
            return f"interrupted at node {details.get('node_id')} ({details.get('node_type')})"
        if kind == "execution_error":
            trace = "".join(details.get("traceback") or [])
            return (
                f"node {details.get('node_id')} ({details.get('node_type')}) failed with "
                f"{details.get('exception_type')}: {details.get('exception_message')}\n{trace}"
            )
    return f"the prompt ended without success: {status}"


class ComfyClient:
    """Talks to a ComfyUI on this machine.

    Args:
        port: Its port on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        # A proxy in the environment must not stand between us and this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://127.0.0.1:{self.port}"

    def check_running(self) -> None:
        """Raise if ComfyUI is known to have ended; a subclass that started it can know."""

    def answers(self) -> bool:
        """Tell whether ComfyUI is up; it listens only once all nodes are loaded."""
        try:
            self._request("/system_stats", timeout=5)
        except (RuntimeError, OSError):  # refused, or known to have ended
            return False
        return True

    def _request(self, path: str, payload: Any = None, timeout: float = 60.0) -> bytes:
        data = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(
            self.address + path, data, {"Content-Type": "application/json"} if data else {}
        )
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            raise PromptError(
                f"ComfyUI answered {error.code} to {path}: {_describe_refusal(error.read())}"
            ) from None
        except OSError:
            self.check_running()  # says more than a refused connection, where it can
            raise

    def get_json(self, path: str) -> Any:
        """Return the JSON answer of a GET route, such as `/otcache/...`."""
        return json.loads(self._request(path))

    def object_info(self) -> dict[str, Any]:
        """Return the definitions of all nodes by their ids."""
        info: dict[str, Any] = self.get_json("/object_info")
        return info

    def queue(self, prompt: dict[str, Any], *, client_id: str = "otcache") -> str:
        """Queue a workflow in API format and return its prompt id.

        Raises:
            PromptError: ComfyUI found it invalid; the message lists each node's errors.
        """
        answer = json.loads(self._request("/prompt", {"prompt": prompt, "client_id": client_id}))
        return str(answer["prompt_id"])

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of a finished prompt, or None while it is not finished."""
        entry: dict[str, Any] | None = self.get_json(f"/history/{quote(prompt_id)}").get(prompt_id)
        return entry

    def wait(self, prompt_id: str, timeout: float = 300.0) -> dict[str, Any]:
        """Wait for a prompt and return its history entry (`outputs` by node id, `status`).

        Raises:
            PromptError: A node failed or was interrupted.
            TimeoutError: It was not finished in time; it goes on running.
            SetupError: ComfyUI was started here and ended meanwhile.
        """
        end = time.monotonic() + timeout
        while True:
            entry = self.history(prompt_id)
            if entry is not None:
                status = entry.get("status") or {}
                if status.get("status_str", "success") != "success":
                    raise PromptError(_describe_failure(status))
                return entry
            self.check_running()
            if time.monotonic() > end:
                raise TimeoutError(f"prompt {prompt_id} must finish within {timeout:g} s")
            time.sleep(_POLL_SECONDS)

    def interrupt(self) -> None:
        """Ask ComfyUI to interrupt the prompt that is running."""
        self._request("/interrupt", {})

    def cancel(self, prompt_id: str) -> None:
        """Take a prompt that waits out of the queue; one that runs goes on."""
        self._request("/queue", {"delete": [prompt_id]})

    def forget(self) -> None:
        """Ask ComfyUI to drop models and results before its next prompt, once it is idle."""
        self._request("/free", {"unload_models": True, "free_memory": True})

    def fetch_image(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """Return the bytes of a saved image, as a history entry's `images` name it."""
        query = urlencode({"filename": filename, "subfolder": subfolder, "type": type})
        return self._request(f"/view?{query}")
