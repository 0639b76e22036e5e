"""Which one-round replies of FireAct's release are chains of thought: the digests of those for StrategyQA and MMLU.

Its chat files do not tell them from ReAct episodes that needed no search. Its alpaca files do, by a line break at the
end that a chain of thought lacks; the digests were taken there (multitask_multimethod.json: 247 of MMLU, 215 of
StrategyQA), and serve both. No reply of the release's ReAct episodes has one of them.
"""

from hashlib import sha256

_WIDTH = 6


def is_released_cot(reply: str) -> bool:
    """Whether a reply, whatever its spaces, is one of the release's chains of thought."""
    return sha256(" ".join(reply.split()).encode("utf-8", "replace")).hexdigest()[:_WIDTH] in _DIGESTS


_DIGESTS = """
00581c 00a218 00c199 01b114 0242d6 038a8b 045ebd 04d8e3 07cd99 082b4f 086c74 089edb 08dcff 09470f 0961f8 09775c
09b2af 0ab999 0b1f48 0c6f1a 0c87c5 0d2b8e 0db4d0 0db7e6 0e51c2 0e6680 0edcca 0ffca7 100d8e 104a7d 110d11 112ad7
11747d 11f82e 121da8 13cf86 14c305 14fd5f 14fd83 1584d9 158e30 175f95 17c346 1813cd 18f004 190d9f 198f75 19eccf
1a8def 1bd421 1beb25 1bf4e0 1c0170 1c08bb 1c345c 1c5683 1caa0e 1cb794 1ce791 1cf654 1d09a8 1e342d 1e5c43 1e7920
1f171f 1f4c0d 1f55d2 20df87 226eee 229b37 244e8d 24e8c6 24f452 257945 258e18 26a08b 278af6 279c03 28da19 29d0ee
29eebc 2a57b0 2aeeb7 2bf9ff 2c3347 2c4a7c 2ca18a 2cc4ee 2cfb94 2d7d73 2eddbb 2fb910 2fe195 301018 30198a 306ffe
312b89 313339 31aafe 31ecb2 3264e9 32ab1f 33200a 33c396 33f314 33f911 33fda6 34915f 34f978 357b8e 360856 36e05b
36e0bb 387a63 3937b2 3cc379 3ccac0 3cf327 3db0d6 3dbc61 3dcc3c 3e8394 3f21ce 3f28e0 3f6517 3fceea 40b2d3 40d74b
4132a0 4133e7 417ca6 426a73 426fc5 42a943 434a5e 43975f 444899 44c3a8 467cad 46e702 47bcbc 48a426 49bc0d 4a0ea5
4a41c1 4a4627 4aec76 4b1454 4b1cb3 4bba7b 4c1cf9 4c50fc 4c5107 4cf6c8 50fc1d 5133aa 52199b 528fe6 531d05 53586a
536cb0 53ad72 53fcf5 5488dc 549abf 54c207 54c960 54e0f3 5530ca 555c58 557dc5 55c140 560e23 563c69 569190 56dc9c
57093a 574f8f 58857a 591950 5963ba 59ed40 5afe33 5b40bc 5b44ca 5b87f4 5c178c 5ccf3c 5ebfd3 5f12f2 60ac0a 60b065
61992c 6208aa 622e0f 6252bd 62d1ca 630d18 642c59 64a73e 64b4ae 64b7fc 654ccc 674560 67d72f 67ded7 680227 684760
685760 68aae6 6a4828 6a7a7f 6afbe2 6c6d16 6dbf98 6de26d 6e7cca 6e9409 6e9c94 6f5017 6f6733 6f6bdc 71e2d5 721293
731039 7345be 73963d 741900 74b353 762417 762840 76549c 7758ce 7844e3 78ae2c 78c474 78ff82 79e4fb 7ab51c 7b7b98
7bf754 7c7596 7c7888 7cd336 7e66ec 7fd75e 800d99 800f2b 80655b 81d7a0 836e0c 841665 8485d4 8526b2 858865 873038
8745bc 87595e 87bb36 880693 88dc3c 894b93 8951df 896b78 8aa7d6 8ab0eb 8b6547 8ba2bc 8c54e5 8c889e 8ca726 8cd7bb
8d68a1 8d7cef 8e3a91 8f38d1 8fd644 8fee7e 912299 912636 920d6f 921af0 924746 925ec1 92b815 95770b 95cb7f 95d7a9
95d9d9 96ef67 978b0f 98d49e 98eac8 992fa1 996188 9a6bb2 9ae05f 9bed08 9bf747 9d2092 9d94b2 9dcbba 9f9193 9fa2ff
a0fb70 a280f8 a3327e a356c0 a3644b a42ba7 a49abf a548d1 a60675 a643eb a6bfc3 a7375a a7650a a82a77 a86076 a87def
a88981 a945e0 a9ce31 a9e9a8 aa2790 ab0caf ab3529 ab3f67 ab97b8 abe720 ac7ab4 ad9062 ad9c19 aed2f5 aedac1 b000cc
b08269 b085cc b0ae9a b1f22f b274cb b2b6d2 b44271 b442f0 b45e4c b51082 b5f1d6 b61140 b630e9 b68d09 b77149 b7c0c5
b846b8 b87d46 b91afd b982cc ba885f ba88f8 bb51aa bbaa2a bdddce be8dd9 bf1042 bffa57 c1dc11 c1df77 c1fda6 c252d3
c3526b c6e190 c736fc c7cf83 c827a8 c88571 c96317 c9dff6 cac65b cb1212 cbece9 cc4d14 ccd1c2 ce2a2d cea161 cf30c8
cf5ce1 cf9efc d03236 d07d1a d16b36 d19563 d2150c d2d4e8 d348bf d40fd0 d60980 d60c07 d61bcf d65c5b d7f63f d81a07
d9aa96 d9b059 da18d9 da30fa da4875 dae201 daed54 db6561 dbfbc5 dc05fd dd02d7 dd3f5e de9b33 df40b9 e084c3 e1d666
e25b0e e31ef9 e3912e e45a5d e4b132 e61bc4 e66410 e684df e7d43d e8b4cb e8cfa6 eb1ffa ec3187 ec8c6e ec905f ecb29d
ed443d edbbf6 ee04cf ee7572 ef39fa efa8c6 f22728 f2cc52 f3bc7c f44d2c f468c0 f49e7b f4d254 f4e276 f4ea4b f52520
f5e363 f60165 f70182 f7a4dc f7bd3c f84a8a f84daf fa5824 fab6e7 fb1f9e fb7610 fdc0ab fdcf8e
"""
