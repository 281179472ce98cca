"""Commands of our client as python3-mockupdb reads them, and replies by its hand, some of which no server would give.

usage: mongo_mockupdb.py PROGRAM      prints "N scripts", or what is wrong
"""
import subprocess
import sys

from bson import Int64
from mockupdb import MockupDB, OpMsg, OpMsgReply, absent

MET = {"isWritablePrimary": True, "maxWireVersion": 17}
HANGUP = object()


def cursor(identity, *documents, first=False, **more):
    batch = "firstBatch" if first else "nextBatch"
    return {"cursor": {batch: list(documents), "id": Int64(identity), "ns": "test.rows"}, **more}


def more(identity):
    return OpMsg("getMore", Int64(identity), collection="rows", batchSize=2, **{"$db": "test"})


FIND = OpMsg("find", "rows", filter={"n": {"$gte": 1}}, projection={"n": 1}, sort={"n": -1}, skip=1, limit=7,
             batchSize=2, singleBatch=absent, **{"$db": "test"})
ONE = OpMsg("find", "rows", filter={"n": 1}, limit=1, singleBatch=True, **{"$db": "test"})
AGGREGATE = OpMsg("aggregate", "rows", pipeline=[{"$match": {"n": 1}}], cursor={}, **{"$db": "test"})
COUNT = OpMsg("aggregate", "rows", pipeline=[{"$match": {"n": 1}}, {"$group": {"_id": 1, "n": {"$sum": 1}}}], cursor={})
INSERT = OpMsg("insert", "rows", ordered=True, documents=[{"_id": 1}])
MANY = OpMsg("insert", "rows", ordered=False, documents=[{"_id": 0}, {"_id": 1}, {"_id": 2}])
UPDATE = OpMsg("update", "rows", updates=[{"q": {"n": 1}, "u": {"$set": {"n": 2}}, "multi": True, "upsert": True}])
DELETE = OpMsg("delete", "rows", deletes=[{"q": {"n": 1}, "limit": 1}])
COMMAND = OpMsg("anything", 1, **{"$db": "test"})
N1, N2, N3 = '{"n":{"$numberInt":"1"}}', '{"n":{"$numberInt":"2"}}', '{"n":{"$numberInt":"3"}}'
KILLED = {"cursorsKilled": []}


def kill(identity):
    return OpMsg("killCursors", "rows", cursors=[Int64(identity)], **{"$db": "test"})


def begins(*documents, identity=0):
    return FIND, cursor(identity, *documents, first=True)


ERRORS = 2000000
UNKNOWN = ERRORS  # a number that is none of the server's
RUNTIME, DISCONNECTED = "not the protocol", "the connection ended"

# What is asked; what the server hears and answers, in turn; what is printed: of an error its code and some text.
SCRIPTS = [
    # cursors
    ("find", [begins({"n": 1}, {"n": 2})], [N1, N2, "end"]),
    ("find", [begins({"n": 1}, {"n": 2}, identity=123), (more(123), cursor(123, {"n": 3})), (more(123), cursor(0))],
     [N1, N2, N3, "end"]),
    ("find", [begins({"n": 1}, identity=123), (more(123), cursor(-456)), (more(-456), cursor(9, {"n": 2})),
              (more(9), cursor(0, {"n": 3}))], [N1, N2, N3, "end"]),  # it has another number each time
    ("left", [begins({"n": 1}, identity=2**62), (kill(2**62), KILLED)], [N1, "end"]),
    ("left", [begins({"n": 1}, identity=5), (kill(5), {"ok": 0, "code": 43})], [N1, "end"]),
    ("left", [begins({"n": 1}, identity=5), (kill(5), HANGUP)], [N1, "end"]),
    ("aggregate", [(AGGREGATE, cursor(0, {"n": 1}, first=True))], [N1, "end"]),
    ("find", [begins({"n": 1}, identity=5), (more(5), {"ok": 0, "code": 43, "codeName": "CursorNotFound",
                                                      "errmsg": "cursor id 5 not found"}), (kill(5), KILLED)],
     [N1, (ERRORS + 43, "MongoDB 43 (CursorNotFound): cursor id 5 not found")]),
    ("find", [begins({"n": 1}, identity=5), (more(5), HANGUP), (kill(5), KILLED)], [N1, (DISCONNECTED, "closed")]),
    ("find", [begins({"n": 1}, identity=5), (more(5), cursor(5, {"n": 2}, first=True)), (kill(5), KILLED)],
     [N1, (RUNTIME, "a reply has no batch")]),
    ("find", [begins({"n": 1}, identity=5), (more(5), {}), (kill(5), KILLED)], [N1, (RUNTIME, "a reply has no batch")]),
    ("find", [begins(1)], [(RUNTIME, "something else than documents")]),
    ("find", [begins({"n": 1}, [])], [(RUNTIME, "something else than documents")]),
    ("find", [(FIND, {"cursor": {"firstBatch": {"0": {"n": 1}}, "id": Int64(0)}})], [(RUNTIME, "no batch")]),
    ("find", [(FIND, {"cursor": {"firstBatch": [], "id": 5}})], [(RUNTIME, "no batch")]),
    ("find", [(FIND, {"cursor": []})], [(RUNTIME, "no batch")]),
    ("find_one", [(ONE, cursor(0, {"n": 1}, {"n": 2}, first=True))], [N1]),
    ("find_one", [(ONE, cursor(0, first=True))], ["nothing"]),
    ("find_one", [(ONE, {})], [(RUNTIME, "no batch")]),
    ("find_one", [(ONE, cursor(0, {"n": 1}))], [(RUNTIME, "no batch")]),
    ("find_one", [(ONE, cursor(0, 1, first=True))], [(RUNTIME, "no batch")]),
    ("count", [(COUNT, cursor(0, {"n": 2**40}, first=True))], [str(2**40)]),
    ("count", [(COUNT, cursor(0, {"n": 7.0}, first=True))], ["7"]),
    ("count", [(COUNT, cursor(0, first=True))], ["0"]),
    ("count", [(COUNT, {})], [(RUNTIME, "no batch")]),
    ("count", [(COUNT, cursor(0, {"n": "7"}, first=True))], [(RUNTIME, "no number")]),
    ("count", [(COUNT, cursor(0, {"m": 7}, first=True))], [(RUNTIME, "no number")]),
    # writes
    ("insert_one", [(INSERT, {"n": 1})], ["1 inserted, 0 matched, 0 modified, 0 deleted"]),
    ("insert_many", [(MANY, {"n": 3})], ["3 inserted, 0 matched, 0 modified, 0 deleted"]),
    ("update", [(UPDATE, {"n": 2, "nModified": 1})], ["0 inserted, 2 matched, 1 modified, 0 deleted"]),
    ("update", [(UPDATE, {"n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": "x"}]})],
     ["0 inserted, 0 matched, 0 modified, 0 deleted, upserted"]),
    ("delete", [(DELETE, {"n": 1})], ["0 inserted, 0 matched, 0 modified, 1 deleted"]),
    ("insert_many", [(MANY, {"n": 1, "writeErrors": [{"index": 1, "code": 11000, "errmsg": "E11000 dup"},
                                                     {"index": 2, "code": 11000, "errmsg": "E11000 dup"}]})],
     [(ERRORS + 11000, "MongoDB 11000: document 1 (1 before it were well): E11000 dup")]),
    ("insert_one", [(INSERT, {"n": 0, "writeErrors": [{"index": Int64(2**63 - 1), "code": Int64(2**63 - 1)}]})],
     [(UNKNOWN, "no reason given")]),
    ("insert_one", [(INSERT, {"n": 0, "writeErrors": [7]})], [(UNKNOWN, "no reason given")]),
    ("insert_one", [(INSERT, {"n": 0, "writeErrors": [{"index": 0, "code": -ERRORS, "errmsg": "x"}]})],
     [(UNKNOWN, "x")]),
    ("insert_one", [(INSERT, {"n": 1, "writeErrors": []})], ["1 inserted, 0 matched, 0 modified, 0 deleted"]),
    ("insert_one", [(INSERT, {"n": 0, "writeErrors": "x"})], [(RUNTIME, "writeErrors")]),
    ("insert_one", [(INSERT, {"n": 0, "writeErrors": {"0": {"code": 1}}})], [(RUNTIME, "writeErrors")]),
    ("insert_one", [(INSERT, {"n": 1, "writeConcernError": {"code": 64, "codeName": "Late", "errmsg": "waiting"}})],
     [(ERRORS + 64, "MongoDB 64 (Late): done, but not as safely as it should be: waiting")]),
    ("insert_one", [(INSERT, {"n": 1, "writeConcernError": True})], [(RUNTIME, "writeConcernError")]),
    ("update", [(UPDATE, {"n": Int64(2**63 - 1), "nModified": Int64(-2**63)})],
     ["0 inserted, 9223372036854775807 matched, -9223372036854775808 modified, 0 deleted"]),
    # how it went
    *[("command", [(COMMAND, {"ok": ok})], ['{"ok":%s}' % said]) for ok, said in
      ((1, '{"$numberInt":"1"}'), (1.0, '{"$numberDouble":"1.0"}'), (Int64(1), '{"$numberLong":"1"}'), (True, "true"))],
    *[("command", [(COMMAND, {"ok": ok})], [(UNKNOWN, "no reason given")]) for ok in
      (0, 0.0, False, None, "1", [1], {"ok": 1}, float("nan"), 2, -1)],
    ("command", [(COMMAND, {"ok": 0, "code": 11000.0, "errmsg": "x"})], [(ERRORS + 11000, "MongoDB 11000 (): x")]),
    *[("command", [(COMMAND, {"ok": 0, "code": code, "errmsg": "x"})], [(UNKNOWN, "x")]) for code in
      (-1, -ERRORS, 2**31 - 1, -2**31, Int64(2**32 + 5), Int64(-2**63), "11000", 1.5, float("inf"), None)],
    # an error of the server's is never one of the loop's: neither a cancel, nor the end of a cursor
    *[("find", [(FIND, {"ok": 0, "code": code - ERRORS, "errmsg": "x"})], [(UNKNOWN, "x")]) for code in
      range(10000, 10004)],
    ("command", [(COMMAND, {"ok": 0, "code": 10107, "codeName": "NotWritablePrimary", "errmsg": "no primary"})],
     [(ERRORS + 10107, "no primary")]),
    ("command", [(COMMAND, HANGUP)], [(DISCONNECTED, "closed")]),
    ("command", [(COMMAND, OpMsgReply({"ok": 1}, flags=2))], [(RUNTIME, "more replies")]),
    ("command", [(COMMAND, OpMsgReply({"ok": 1}, flags=1 << 7))], [(RUNTIME, "unknown flags")]),
    ("command", [(COMMAND, OpMsgReply({"ok": 1}, flags=1 << 20))], ['{"ok":{"$numberInt":"1"}}']),  # not to be heeded
]

# What the server says of itself; and what a command comes to.
PRIMARIES = [
    ({}, "older than 4.4"), ({"isWritablePrimary": True}, "older than 4.4"),
    ({**MET, "maxWireVersion": 8}, "older than 4.4"), ({**MET, "maxWireVersion": "17"}, "older than 4.4"),
    ({**MET, "isWritablePrimary": "yes"}, "not the primary, which is not known"),
    ({**MET, "isWritablePrimary": False, "primary": "b:1"}, "not the primary, which is b:1"),
    ({**MET, "isWritablePrimary": False, "primary": 7}, "not the primary, which is not known"),
    ({**MET, "ok": 0, "code": 18, "errmsg": "no"}, "MongoDB 18 (): no"),
    ({**MET, "maxBsonObjectSize": 10}, "document 0 has 14 bytes, the server takes 10"),
    ({**MET, "maxBsonObjectSize": -1, "maxMessageSizeBytes": -1, "maxWriteBatchSize": -1}, "3 inserted"),
    ({**MET, "maxBsonObjectSize": 2**31 - 1, "maxMessageSizeBytes": Int64(2**62), "maxWriteBatchSize": 0},
     "3 inserted"),
    ({**MET, "maxBsonObjectSize": "x", "maxMessageSizeBytes": 1, "compression": "zlib"}, "3 inserted"),
    ({**MET, "compression": [7, None, "snappy"]}, "3 inserted"),
]


def answer(server, scripts):
    """The next request, by its script; nobody waits for killCursors, which may come after what is asked next."""
    request = server.receives(timeout=10)
    for script in scripts[:2]:
        if request.matches(script[0]):
            scripts.remove(script)
            return request.hangup() if script[1] is HANGUP else request.replies(script[1])
        if script[0].command_name != "killCursors":
            break
    raise AssertionError(f"{request}, not {scripts[0][0]}")


def talk(server, program, words, scripts):
    uri = f"mongodb://127.0.0.1:{server.port}/?socketTimeoutMS=5000&compressors=zlib"
    client = subprocess.Popen([program, uri, "ask", words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while scripts:
            answer(server, scripts)
        out, errors = client.communicate(timeout=20)
    except AssertionError as wrong:
        raise AssertionError(f"{words}: {wrong}") from None
    finally:
        client.kill()
    lines = [line for line in errors.splitlines() if "slow step:" not in line]
    assert client.returncode == 0 and not lines, f"{words}: {client.returncode} {errors}"
    return out.splitlines()


def expect(words, lines, wanted):
    assert len(lines) == len(wanted), f"{words}: {lines}, not {wanted}"
    for line, want in zip(lines, wanted):
        if isinstance(want, str):
            assert line == want, f"{words}: {line!r}, not {want!r}"
            continue
        code, _, text = line.partition(" ")
        right = CODES.setdefault(want[0], code) if isinstance(want[0], str) else str(want[0])
        assert code == right and want[1] in text, f"{words}: {line!r}, not {want}"


CODES = {}  # of what is not the server's error: the same number each time


def main():
    program, server = sys.argv[1], MockupDB()
    server.run()
    meeting = server.autoresponds("hello", MET)
    for words, scripts, wanted in SCRIPTS:  # and the client goes on, with whoever asks next
        well = COMMAND, {"x": "well"}
        expect(words, talk(server, program, words + ",command", [*scripts, well]),
               [*wanted, '{"x":"well","ok":{"$numberInt":"1"}}'])
    for met, wanted in PRIMARIES:
        meeting.cancel()
        meeting = server.autoresponds("hello", met)
        said = talk(server, program, "insert_many", [(MANY, {"n": 3})] if wanted == "3 inserted" else [])
        assert len(said) == 1 and wanted in said[0], f"{met}: {said}, not {wanted}"
    assert len(set(CODES.values())) == len(CODES) == 2, CODES
    server.stop()
    print(f"{len(SCRIPTS) + len(PRIMARIES)} scripts")


main()
