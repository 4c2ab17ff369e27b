#!/usr/bin/env python3
"""Restores a disk from a backup repository, from docs/reference/backup-format.md alone and without any code of this project.

    backup-reader.py FOLDER POINT TARGET OUT [--key-file FILE | --recovery-key TEXT]

Python's standard library has neither Zstandard nor AES: `zstd` decompresses, the package `cryptography` unseals."""

import hashlib
import hmac
import json
import pathlib
import subprocess
import sys

PAGE_IDS = 4096
ZERO = bytes(32)
KINDS = {"chunk": (0, b"\x00"), "page": (4, b"\x01"), "document": (8, b"\x02")}
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Refused(Exception):
    pass


def hkdf(secret, salt, info):
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def unseal(key, nonce, sealed, tag, associated):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).decrypt(nonce, sealed + tag, associated)


def recovery_secret(text):
    text = text.lower().replace("-", "").replace(" ", "")
    text = text.replace("o", "0").replace("i", "1").replace("l", "1")
    bits = 0
    for character in text[:32]:
        bits = bits << 5 | ALPHABET.index(character)
    check = int.from_bytes(hashlib.sha256(text[:32].encode()).digest()[:3], "big") >> 4
    if text[32:] != "".join(ALPHABET[check >> shift & 31] for shift in (15, 10, 5, 0)):
        raise Refused("the recovery key is mistyped")
    return bits.to_bytes(20, "big")


class Repository:
    def __init__(self, folder, secret):
        self.folder = pathlib.Path(folder)
        data = (self.folder / "repo.json").read_bytes()
        settings = json.loads(data.split(b"\n", 1)[0])
        self.id_key = self.data_key = self.mac_key = None
        if settings["encryption"] is not None:
            self.unwrap(settings, secret)
        self.settings = self.two_lines(data)

    def unwrap(self, settings, secret):
        salt = settings["id"].encode()
        kind, secret = secret
        for wrapped in settings["encryption"]["wrappedKeys"]:
            if wrapped["kind"] != kind:
                continue
            nonce, sealed, tag = (bytes.fromhex(wrapped[name]) for name in ("nonce", "sealed", "tag"))
            wrapping = hkdf(secret, salt, f"hyper-nixos backup wrap {kind}".encode())
            master = unseal(wrapping, nonce, sealed, tag, kind.encode())
            self.id_key, self.data_key, self.mac_key = (
                hkdf(master, salt, f"hyper-nixos backup {use}".encode()) for use in ("id", "data", "mac")
            )

    def two_lines(self, data):
        line = data.split(b"\n", 1)[0]
        mac = "null"
        if self.mac_key is not None:
            mac = '"' + hmac.new(self.mac_key, line, hashlib.sha256).hexdigest() + '"'
        second = '{"sha256":"%s","mac":%s}' % (hashlib.sha256(line).hexdigest(), mac)
        if data != line + b"\n" + second.encode() + b"\n":
            raise Refused("a second line does not fit")
        return json.loads(line)

    def manifest(self, point):
        (path,) = self.folder.glob(f"manifests/*/*-{point}.json")
        body = self.two_lines(path.read_bytes())
        if path.name != f"{body['seq']:010d}-{body['id']}.json" or path.parent.name != body["vm"]:
            raise Refused("the manifest belongs to another name")
        return body

    def object(self, kind, id_):
        kind_flag, kind_byte = KINDS[kind]
        name = id_.hex()
        data = (self.folder / "chunks" / name[:2] / name[2:4] / name).read_bytes()
        magic, version, flags = data[:2], data[2], data[3]
        length = int.from_bytes(data[4:8], "big")
        payload = data[24:]
        if magic != b"HN" or version != 1 or hashlib.sha256(data[:8] + payload).digest()[:16] != data[8:24]:
            raise Refused(f"object {name}: header or digest")
        sealed = self.data_key is not None and kind != "page"
        if flags & ~1 != kind_flag | (2 if sealed else 0):
            raise Refused(f"object {name}: kind")
        if sealed:
            payload = unseal(self.data_key, payload[:12], payload[12:-16], payload[-16:], data[:8] + id_)
        if flags & 1:
            payload = subprocess.run(["zstd", "-d", "-c", "-q"], input=payload, stdout=subprocess.PIPE, check=True).stdout
        raw = kind_byte + payload
        digest = hashlib.sha256(raw).digest() if self.id_key is None else hmac.new(self.id_key, raw, hashlib.sha256).digest()
        if len(payload) != length or digest != id_:
            raise Refused(f"object {name}: length or id")
        return payload

    def restore(self, point, target, out):
        (disk,) = (each for each in self.manifest(point)["disks"] if each["target"] == target)
        size, chunk_size = disk["sizeBytes"], self.settings["chunkSizeBytes"]
        out.truncate(size)
        for page_number, page_id in enumerate(map(bytes.fromhex, disk["pages"])):
            if page_id == ZERO:
                continue
            page = self.object("page", page_id)
            for slot in range(PAGE_IDS):
                id_ = page[slot * 32 : slot * 32 + 32]
                if id_ == ZERO:
                    continue
                offset = (page_number * PAGE_IDS + slot) * chunk_size
                chunk = self.object("chunk", id_)
                if len(chunk) != min(chunk_size, size - offset):
                    raise Refused("a chunk does not fit its place")
                out.seek(offset)
                out.write(chunk)


def main(folder, point, target, out, *key):
    secret = None
    if key:
        secret = ("file", pathlib.Path(key[1]).read_bytes()) if key[0] == "--key-file" else ("recovery", recovery_secret(key[1]))
    with open(out, "wb") as file:
        Repository(folder, secret).restore(point, target, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
