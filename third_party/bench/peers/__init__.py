"""Our quantized files beside those that other quantizers make of the same float file, on the engine each is for.

Usage: ``python -m third_party.bench.peers --config-file FILE --weights FILE --calib DATASET --eval DATASET``. It needs
``pip install 'detectron2[export]' nncf``; a quantizer that is missing has no rows.
"""
