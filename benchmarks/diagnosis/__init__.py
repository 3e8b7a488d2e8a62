"""Planted faults in plain PyTorch training loops beside healthy twins: does the Monitor name the cause?

``python -m benchmarks.diagnosis.run`` trains, ``python -m benchmarks.diagnosis.report`` counts. The loops in ``loops``
are written as strangers write them and use nothing of the library; the only tie is ``watch.step`` at their end.
"""
