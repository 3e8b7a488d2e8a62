from collections import Counter
from benchmarks.diagnosis.fifth.plan import *
from benchmarks.diagnosis.fifth.desk import text_of
from tightrope.monitor import CAUSES
for c in CASES.values():
    try: compile(text_of(c.style,c.changes),c.key,'exec')
    except Exception as e: print(c.key, repr(e)[:200])
print(len(TWINS),len(FAULTS),len(ODDITIES),Counter(c.kind for c in FAULTS), len(CASES))
print(set(CAUSES)-{c.cause for c in FAULTS})
