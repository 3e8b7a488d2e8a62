import sys, time
from benchmarks.diagnosis.fifth.desk import play
from benchmarks.diagnosis.fifth.steps import STEPS
import torch; torch.set_num_threads(1)
for s in sys.argv[1:] or STEPS:
    for seed in (101,):
        t=time.time(); r = play(s, (), seed, "none", STEPS[s])
        print(s, seed, f"start {r.start:.3f} end {r.distance:.3f} upd {r.updates} cpu {r.seconds:.1f} wall {time.time()-t:.1f}", r.curve, r.error, flush=True)
