"""A registry of images for a test: plain HTTP on loopback, without logins. Serves other files, too,
without saying how long they are."""

import contextlib
import hashlib
import http.server
import json
import threading

IMAGE = "application/vnd.oci.image."
INDEX = IMAGE + "index.v1+json"
MANIFEST = IMAGE + "manifest.v1+json"


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    def __init__(self, port):
        self.host = f"127.0.0.1:{port}"
        self.content = {}  # by path: bytes and their media type, None for what is no registry's
        self.failures = 0  # that are to come before an answer

    def push(self, repository, layer, config=None, **annotations):
        """An image of one layer in an index, which is the tag 1."""
        def put(kind, content, media_type):
            digest = digest_of(content)
            self.content[f"/v2/{repository}/{kind}/{digest}"] = content, media_type
            return {"mediaType": media_type, "digest": digest, "size": len(content)}

        def put_json(kind, document, media_type):
            return put(kind, json.dumps(document).encode(), media_type)

        platform = {"architecture": "amd64", "os": "linux"}
        rootfs = {"type": "layers", "diff_ids": [digest_of(layer)]}
        manifest = put_json("manifests", {
            "schemaVersion": 2, "mediaType": MANIFEST, "annotations": annotations,
            "config": put_json("blobs", {**platform, "config": config, "rootfs": rootfs},
                               IMAGE + "config.v1+json"),
            "layers": [put("blobs", layer, IMAGE + "layer.v1.tar")]}, MANIFEST)
        index = put_json("manifests", {
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{**manifest, "platform": platform}]}, INDEX)
        tag = f"/v2/{repository}/manifests/1"
        self.content[tag] = self.content[f"/v2/{repository}/manifests/{index['digest']}"]

    def forget(self, repository):
        self.content = {path: found for path, found in self.content.items()
                        if not path.startswith(f"/v2/{repository}/")}


@contextlib.contextmanager
def serve():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content, media_type = registry.content.get(self.path, (b"", "text/plain"))
            status = 200 if content else 404
            if registry.failures:
                registry.failures -= 1
                content, status = b"", 503
            self.send_response(status)
            if media_type:
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(content)))
            if content and media_type:
                self.send_header("Docker-Content-Digest", digest_of(content))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry = Registry(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield registry
        finally:
            server.shutdown()
