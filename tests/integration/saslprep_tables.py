#!/usr/bin/env python3
"""Prints the tables of SASLprep (RFC 4013, Unicode 3.2) as examples/mongo/aio_mongo.h has them: numbers of seven bits a
byte, the last one's top bit clear; deflated; in base64.

Six sets of code points: what goes, what becomes a space, what may not be, what is written from right to left, from left
to right, and what no character has; each the count of its ranges, then for each how far it is from the end of the one
before, and its length. Then what NFKD makes of a character, how characters combine, and which pairs become one."""
import base64
import stringprep
import sys
import unicodedata
import zlib

U = unicodedata.ucd_3_2_0
ALL = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)
PROHIBITED = (stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
              stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
              stringprep.in_table_c9)
SETS = (stringprep.in_table_b1, stringprep.in_table_c12, lambda c: any(table(c) for table in PROHIBITED),
        stringprep.in_table_d1, stringprep.in_table_d2, stringprep.in_table_a1)


def number(value):
    more = bytes([value & 127])
    while value > 127:
        value >>= 7
        more = bytes([value & 127 | 128]) + more
    return more


def ranges(belongs):
    found, before = [], -2
    for code in map(ord, filter(belongs, ALL)):
        if code == before + 1:
            found[-1][1] += 1
        else:
            found.append([code, 1])
        before = code
    out, end = number(len(found)), 0
    for first, length in found:
        out += number(first - end) + number(length)
        end = first + length
    return out


def mapped(pairs):
    out, before = number(len(pairs)), 0
    for code, values in pairs:
        out += number(code - before) + b"".join(map(number, values))
        before = code
    return out


def tables():
    out = b"".join(map(ranges, SETS))
    apart = [(ord(c), U.normalize("NFKD", c)) for c in ALL if ord(c) not in HANGUL and U.normalize("NFKD", c) != c]
    out += mapped([(code, [len(to), *map(ord, to)]) for code, to in apart])
    out += mapped([(ord(c), [U.combining(c)]) for c in ALL if U.combining(c)])
    together = [(ord(c), U.decomposition(c)) for c in ALL if U.decomposition(c) and U.normalize("NFC", c) == c]
    together = [(code, [int(part, 16) for part in pair.split()]) for code, pair in together if "<" not in pair]
    return out + mapped([(code, pair) for code, pair in together if len(pair) == 2])


text = base64.b64encode(zlib.compress(tables(), 9)).decode()
for i in range(0, len(text), 108):
    sys.stdout.write(f'    "{text[i:i + 108]}",\n')
