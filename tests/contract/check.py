"""Checks a running server against the contract that it gives away.

Makes chats so that there is something to find, reads the first frames of the endless streams and compares them with their
shapes, then lets schemathesis make up requests for everything else.
"""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

import jsonschema_rs

URL = os.environ["VERBATIM_URL"]
KEY = os.environ["VERBATIM_KEY"]
PATIENCE_S = 20


def request(method, path, body=None, key=KEY):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(f"{URL}{path}", data=data, headers=headers, method=method)
    return urllib.request.urlopen(sent, timeout=PATIENCE_S)


def frames(path, last):
    """The server-sent events of a stream up to one named `last`."""
    event, data = None, None
    with request("GET", path) as answer:
        assert answer.headers["content-type"] == "text/event-stream", answer.headers
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                data = json.loads(value)
            elif not name and event:
                yield event, data
                if event == last:
                    return
                event, data = None, None


def check_streams(document, chat):
    """What the endless streams tell has the shapes that the document promises for them."""
    path = "/api/v1/chats/{chat}/stream"
    content = document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
    shapes = {
        event["title"]: jsonschema_rs.validator_for(
            {**event["properties"]["data"]["contentSchema"], "components": document["components"]}
        )
        for event in content["schema"]["oneOf"]
    }
    seen = set()
    for after, last in [("?after=0", "turn_finished"), ("", "snapshot"), ("?after=nowhere", "snapshot")]:
        for event, data in frames(path.replace("{chat}", chat) + after, last):
            assert event in shapes, f"the contract knows no event {event!r}"
            shapes[event].validate(data)
            seen.add(event)
    assert {"chat_created", "turn_finished", "snapshot", "reset"} <= seen, seen
    print(f"streams: {len(seen)} kinds of frames as promised: {', '.join(sorted(seen))}")


def main():
    seconds = sys.argv[1]
    with request("GET", "/openapi.json") as answer:
        document = json.load(answer)
    with request("POST", "/api/v1/chats", {"content": "Hello!", "labels": {"team": "contract"}}) as answer:
        chat, position = json.load(answer)["id"], answer.headers["verbatim-position"]
    check_streams(document, chat)

    folder = pathlib.Path(__file__).resolve().parent
    home = folder.parent.parent / "target" / "contract"
    command = [
        str(pathlib.Path(sys.executable).absolute().parent / "st"),
        f"--config-file={folder / 'schemathesis.toml'}",
        "run",
        f"{URL}/openapi.json",
        f"--url={URL}",
        f"--max-time={seconds}",
    ]
    environment = {**os.environ, "VERBATIM_CHAT": chat, "VERBATIM_POSITION": position}
    # It leaves a cache where it runs.
    sys.exit(subprocess.run(command, env=environment, cwd=home, check=False).returncode)


if __name__ == "__main__":
    main()
