/* Instruction sets for which the compiler vectorizes a loop. The best one is selected at run time.

   Usage: define VARIANT(NAME, TARGET) to make one variant of the loop, then write EACH_VARIANT. */

#define PLAIN_VARIANT VARIANT(plain, ) /* on ARM this is NEON's CNT, part of every 64-bit processor */

#if defined(__x86_64__) || defined(__i386__)
#define X86 1
#ifdef __clang__
#define WIDE_VECTORS
#else
#define WIDE_VECTORS ",prefer-vector-width=512"
#endif
#define EACH_VARIANT                                                                                                   \
    PLAIN_VARIANT                                                                                                      \
    VARIANT(popcnt, __attribute__((target("popcnt"))))                                                                 \
    VARIANT(avx2, __attribute__((target("avx2,popcnt"))))                                                              \
    VARIANT(avx512,                                                                                                    \
            __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,popcnt" WIDE_VECTORS))))
#else
#define EACH_VARIANT PLAIN_VARIANT
#endif

enum { PLAIN, POPCNT, AVX2, AVX512 };

/* The best of them that this processor supports; it supports those before it as well. */
static int best_variant(void) {
#ifdef X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("popcnt")) return PLAIN;
    if (!__builtin_cpu_supports("avx2")) return POPCNT;
    if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return AVX512;
    return AVX2;
#else
    return PLAIN;
#endif
}
