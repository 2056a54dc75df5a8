"""The schemas of docs/schemas, and what has been held against them."""

import json
import sys
import warnings

import spoiled

# The resolver that Debian 12 has; later releases have another besides, and say so.
warnings.simplefilter("ignore", DeprecationWarning)
import jsonschema  # noqa: E402

# What documents may do without. Everything else is missed.
ENVIRONMENT = {"outdated", "kind", "base", "states"}
OPTIONAL = {
    "catalog": {"platform", "compatibility", "source_url", "source_digest", "oci_registry",
                "oci_repository", "oci_reference", "oci_digest", "source_sha256", "kind", "base"},
    "environment": ENVIRONMENT, "list": ENVIRONMENT, "outdated": ENVIRONMENT, "pull": ENVIRONMENT,
    "import": ENVIRONMENT, "prune": {"skipped_bases"}, "du": {"base"},
    "install-record": {"catalog_file", "oci_digest", "artifacts",
                       "vmlinux", "rootfs.ext4", "initrd.img", "kind", "config", "base",
                       "Env", "Entrypoint", "Cmd", "WorkingDir", "User", "StopSignal"},
    "run": {"error", "refusal", "stdout_truncated", "stderr_truncated"},
}


def types_of(schema):
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


class Schemas:
    def __init__(self, directory):
        files = sorted(directory.glob("*.schema.json"))
        self.documents = {file.name: json.loads(file.read_text()) for file in files}
        self.seen = {}  # by the id of a part of a schema: the types of what was held against it
        self.recorder = jsonschema.validators.extend(jsonschema.Draft202012Validator,
                                                     {"type": self.record})
        for document in self.documents.values():
            jsonschema.Draft202012Validator.check_schema(document)
            del document["$schema"]  # which would have the standard's validator take over

    def record(self, validator, types, instance, schema):
        met = [name for name in types_of(schema) if validator.is_type(instance, name)]
        self.seen.setdefault(id(schema), set()).update(met)
        yield from jsonschema.Draft202012Validator.VALIDATORS["type"](validator, types, instance, schema)

    def validator(self, name, kind=jsonschema.Draft202012Validator):
        schema = self.documents[f"{name}.schema.json"]
        # An identifier of its own would have the resolver look for the others beside it.
        resolver = jsonschema.RefResolver(f"{name}.schema.json", schema, store=self.documents)
        return kind(schema, resolver=resolver)

    def hold(self, name, document):
        for error in self.validator(name, self.recorder).iter_errors(document):
            sys.exit(f"{name}: {error.message}\n{json.dumps(document, indent=2)}")
        validator = self.validator(name)
        for what, wrong in spoiled.spoil(document, OPTIONAL.get(name, set())):
            if validator.is_valid(wrong):
                sys.exit(f"{name}, {what}, and is taken: {json.dumps(wrong, indent=2)}")

    def require_all(self):
        unseen = [f"{name} {where}: no document has a value of type {kind}"
                  for name, document in self.documents.items()
                  for where, schema in parts(document)
                  for kind in set(types_of(schema)) - self.seen.get(id(schema), set())]
        if unseen:
            sys.exit("\n".join(unseen))


def parts(schema, where=""):
    """Every schema in a schema, and where it is."""
    yield where, schema
    for key, value in schema.items():
        inner = value.items() if key == "properties" else [(key, value)]
        if isinstance(value, list):
            inner = enumerate(value)
        for name, part in inner:
            if isinstance(part, dict):
                yield from parts(part, f"{where}/{name}")
