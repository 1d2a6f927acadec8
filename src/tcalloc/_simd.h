/* The two loops that meet every cell of every table, for x86-64 with AVX2, chosen when the program runs.
 *
 * Each has a plain form in _oracle.pyx, which any other machine or compiler runs (and a build with TCALLOC_NO_SIMD=1:
 * .ci/sanitize tests that one). Both forms do the same float64 operations, without fused multiply-add, so they give the
 * same bits.
 */
#ifndef TCALLOC_SIMD_H
#define TCALLOC_SIMD_H

#include <stddef.h>

#if defined(__GNUC__) && defined(__x86_64__) && !defined(TCALLOC_NO_SIMD)

#include <cpuid.h>
#include <immintrin.h>

/* Whether the processor has AVX2 and the system keeps its registers. Asked of the processor itself: what compilers offer
 * for it (__builtin_cpu_supports) is answered by their libraries, and zig's always says no.
 */
static int tcalloc_has_avx2(void)
{
    const unsigned wanted = bit_OSXSAVE | bit_AVX;
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & wanted) != wanted)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6) /* bits of XCR0: the halves of the registers */
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2) != 0;
}

/* Four rows at a time, one in each lane: for each row the action of the largest utility at the price hi, and whether
 * it wins there (bit 0) and at lo too (bit 1), by more than the slacks. Rows lie row_a and row_c doubles apart;
 * rows is a multiple of 4. See note (B) of _oracle.pyx.
 */
__attribute__((target("avx2"))) static void tcalloc_classify_avx2(
    const double *a, ptrdiff_t row_a, const double *c, ptrdiff_t row_c, ptrdiff_t rows, ptrdiff_t n, double lo, double hi,
    double slack_lo, double slack_hi, int *best, unsigned char *state)
{
    const __m256d high = _mm256_set1_pd(hi), low = _mm256_set1_pd(lo);
    const __m256d never = _mm256_set1_pd(-__builtin_inf());
    for (ptrdiff_t i = 0; i < rows; i += 4, a += 4 * row_a, c += 4 * row_c) {
        __m256d best_hi = never, next_hi = never, best_lo = never, next_lo = never;
        __m256d at_lo = _mm256_setzero_pd(), column = _mm256_setzero_pd();
        for (ptrdiff_t k = 0; k < n; k++) {
            const __m256d x = _mm256_set_pd(a[k + 3 * row_a], a[k + 2 * row_a], a[k + row_a], a[k]);
            const __m256d y = _mm256_set_pd(c[k + 3 * row_c], c[k + 2 * row_c], c[k + row_c], c[k]);
            const __m256d u = _mm256_sub_pd(x, _mm256_mul_pd(high, y));
            const __m256d v = _mm256_sub_pd(x, _mm256_mul_pd(low, y));
            const __m256d better = _mm256_cmp_pd(u, best_hi, _CMP_GT_OQ);
            column = _mm256_blendv_pd(column, _mm256_set1_pd((double)k), better);
            at_lo = _mm256_blendv_pd(at_lo, v, better);
            next_hi = _mm256_max_pd(next_hi, _mm256_min_pd(best_hi, u));
            best_hi = _mm256_max_pd(best_hi, u);
            next_lo = _mm256_max_pd(next_lo, _mm256_min_pd(best_lo, v));
            best_lo = _mm256_max_pd(best_lo, v);
        }
        const __m256d sure = _mm256_cmp_pd(_mm256_sub_pd(best_hi, next_hi), _mm256_set1_pd(slack_hi), _CMP_GT_OQ);
        const __m256d stays =
            _mm256_and_pd(_mm256_cmp_pd(at_lo, best_lo, _CMP_EQ_OQ),
                          _mm256_cmp_pd(_mm256_sub_pd(best_lo, next_lo), _mm256_set1_pd(slack_lo), _CMP_GE_OQ));
        const int first = _mm256_movemask_pd(sure), second = _mm256_movemask_pd(stays);
        _mm_storeu_si128((__m128i *)(best + i), _mm256_cvttpd_epi32(column));
        for (int r = 0; r < 4; r++)
            state[i + r] = (unsigned char)(((first >> r) & 1) | (((second >> r) & 1) << 1));
    }
}

/* The plain loop of within(), which the compiler makes AVX2 of. Both halves at once: two streams of memory are read
 * faster than one.
 */
__attribute__((target("avx2"))) static int tcalloc_within_avx2(
    const long long *bits, ptrdiff_t size, long long tiny, long long huge, long long signs)
{
    const long long magnitude = 0x7fffffffffffffffLL;
    const ptrdiff_t half = size / 2;
    const long long *other = bits + half;
    long long bad = 0;
    for (ptrdiff_t i = 0; i < half; i++) {
        const long long x = bits[i] & magnitude, y = other[i] & magnitude;
        bad |= (((x - tiny) | (huge - x)) & -x) | (((y - tiny) | (huge - y)) & -y) | ((bits[i] | other[i]) & signs);
    }
    for (ptrdiff_t i = 2 * half; i < size; i++) {
        const long long x = bits[i] & magnitude;
        bad |= (((x - tiny) | (huge - x)) & -x) | (bits[i] & signs);
    }
    return bad >= 0;
}

#else

static int tcalloc_has_avx2(void) { return 0; }

static void tcalloc_classify_avx2(const double *a, ptrdiff_t row_a, const double *c, ptrdiff_t row_c, ptrdiff_t rows,
                                  ptrdiff_t n, double lo, double hi, double slack_lo, double slack_hi, int *best,
                                  unsigned char *state)
{
    (void)a, (void)row_a, (void)c, (void)row_c, (void)rows, (void)n, (void)lo, (void)hi, (void)slack_lo,
        (void)slack_hi, (void)best, (void)state;
}

static int tcalloc_within_avx2(const long long *bits, ptrdiff_t size, long long tiny, long long huge, long long signs)
{
    (void)bits, (void)size, (void)tiny, (void)huge, (void)signs;
    return 0;
}

#endif
#endif
