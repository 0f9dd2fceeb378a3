"""Answers with their right verdicts, decided by mathematics and not by any grader.

Made after public reports on graders of mathematics: hendrycks/math, lm-evaluation-harness,
Math-Verify, ms-swift, R1-Zero formats, GSM8K, AIME. ``SAME`` and ``OTHER`` are pairs of reference
and content of a box, ``TEXTS`` are references with whole responses.
"""

from handan.tasks.equivalence import same_answer

# ruff: noqa: RUF001, E501 - answers come with such characters

# Pairs that are the same answer, in this order.
SAME = r"""
2 | \boxed{2}
11,\! 111,\! 111,\! 100 | 11111111100
11,\!111,\!111,\!100 | 11,111,111,100
11111111100 | 11,\!111,\!111,\!100
1000000 | 1\,000\,000
1000000 | 1 000 000
1,000,000 | 1000000
10000 | 10~000
10\,000 | 10000
3\,628\,800 | 3628800
3628800 | 3{,}628{,}800
10{,}080 | 10080
\$32{,}348 | 32348
32348 | \$32,348
1234567 | 1'234'567
1234567 | 1.234.567
1234.5 | 1.234,5
1234567.25 | 1.234.567,25
1234.5 | 1,234.5
1234.50 | \$1,234.50
-5 | −5
-5 | –5
5 | +5
33 | 033
033 | 33
7 | 007
0 | -0
0 | 0.0
9 | 9.0
9 | 9.
42 | 42.
0.5 | .5
-0.5 | -.5
\frac{1}{2} | .5
\frac{1}{2} | ½
\frac{3}{4} | ¾
\frac{7}{2} | 3½
\frac12 | \frac{1}2
\frac{1}{2} | \dfrac12
\frac{1}{2} | 1/2
\frac{1}{2} | \frac{2}{4}
\frac{-1}{2} | -\frac{1}{2}
-\frac{1}{2} | \frac{1}{-2}
\frac{14}{3} | \dfrac{14}{3}
\frac{3}{2} | 1\frac{1}{2}
1\frac{1}{2} | \frac{3}{2}
1\frac12 | 1.5
1 1/2 | \frac{3}{2}
\frac{3}{2} | 1 1/2
-\frac{7}{3} | -2\frac{1}{3}
\frac{1}{3} | 0.\overline{3}
\frac{1}{3} | 0.333333
\frac{1}{3} | 0.333\ldots
\frac{1}{6} | 0.1\overline{6}
\frac{1}{7} | 0.\overline{142857}
1 | 0.\overline{9}
\sqrt{17} | 4.123105625617661
\sqrt{17} | 4.1231
4.1231 | \sqrt{17}
\pi | 3.14159
\pi | 3.14159\ldots
e | 2.718281828
2\pi | 6.28319
\log_2 3 | 1.58496
\ln 2 | 0.693147
0.3 | 0.30000000000000004
2^{100} | 1267650600228229401496703205376
1024 | 2^10
1024 | 2^{10}
100! | 100!
3628800 | 10!
\binom{10}{3} | 120
\frac{1}{2^{60}} | 2^{-60}
\frac{1}{1024} | 2^{-10}
3.0 \times 10^8 | 300000000
3.0 \times 10^8 | 3e8
3.0 \times 10^8 | 3E+8
3 \times 10^{8} | 3 \cdot 10^8
3 \times 10^8 | 3 x 10^8
3 \times 10^8 | 3*10^8
3 \times 10^8 | 3 × 10⁸
6.02 \times 10^{23} | 602000000000000000000000
1.6 \times 10^{-19} | 1.6e-19
10^{-7} | 0.0000001
50\% | 50
50\% | 0.5
0.5 | 50\%
50 | 50\%
50\% | 50 \text{ percent}
50\% | 50 percent
\frac{1}{2} | 50\%
12.5\% | 12.5\%
90^\circ | 90
90 | 90^{\circ}
90^\circ | 90°
90^\circ | 90 \text{ degrees}
5 \text{ cm} | 5
5\text{ cm}^2 | 5
5 \text{ cm}^2 | 5\,\mathrm{cm}^{2}
5 | 5 \text{ square units}
5 | 5 cm
5 | 5 apples
5 | 5\text{ apples}
5 | 5\ \text{m}
5.4 \text{ cents} | 5.4
5 \text{ cm} | 5 \text{ centimeters}
1 \text{ m} | 100 \text{ cm}
2 \text{ hours} | 120 \text{ minutes}
10 \text{ feet} | 10 ft
\$5 | 5
5 | \$5
5 | €5
5 \text{ dollars} | \$5
3\text{ million} | 3000000
5000000 | \$5 million
6 \text{ different ways} | 6
x=5 | 5
5 | x=5
5 | x = 5
n = 12 | 12
f(x) = 2x+1 | 2x+1
y = 2x + 3 | 2x+3
2x+3 | y=2x+3
\text{Area} = 12 | 12
12 | A = 12
12 | 3 \times 4 = 12
12 | x = 3 \cdot 4 = 12
\frac{3}{56} | \frac{3}{56} \approx 0.0536
\sqrt{2} | \sqrt{2} \approx 1.414
52_8 | 52_{8}
52_8 | (52)_8
52_8 | 52_{\text{eight}}
4210_{5} | 4210_5
4210_{5} | 4210
1011_2 | 11_{10}
1011_2 | 1011
1011_2 | 1011_{\text{two}}
1011 | 1011_2
A3_{16} | a3_{16}
2A_{16} | 42_{10}
x+1 | 1+x
2k+2 | 2(k+1)
(x+1)^2 | x^2+2x+1
x^3 + 3x - 6 | x^3+3x-6
8n^2 + 4n + 1 | 8n^2+4n+1
(x-1)(x+2) | (x+2)(x-1)
\frac{x}{2} | 0.5x
\frac{x}{2} | \frac{1}{2}x
\frac{x^2-1}{x-1} | x+1
p - q | p-q
p-q | -q+p
-\frac{1}{2}x | -1/2*x
x^{10} | x^10
x^2 | x**2
x^2 | x²
2\sqrt{3} | \sqrt{12}
2\sqrt{3} | 2√3
11\sqrt2 | 11\sqrt{2}
\frac{1}{\sqrt{2}} | \frac{\sqrt{2}}{2}
\sqrt[3]{2} | 2^{1/3}
\sqrt{1/n} | \frac{1}{\sqrt{n}}
\sqrt{\frac{a}{b}} | \frac{\sqrt{a}}{\sqrt{b}}
\sqrt{x^2} | |x|
\sqrt{5+2\sqrt{6}} | \sqrt{2}+\sqrt{3}
e^{16} - 1 | -1 + exp(16)
\log_2 3 | \frac{\ln 3}{\ln 2}
\sin^2 x + \cos^2 x | 1
\sin 2x | 2 \sin x \cos x
2^{n+1} | 2 \cdot 2^n
\frac{\pi}{2} | \pi/2
2\pi | 2π
6 - 5i | 6-5i
14 - i | 14.0 + -1.0i
14-i | 14 - 1i
14 - i | -i + 14
(1+i)^2 | 2i
i^2 | -1
e^{i\pi} | -1
(3, \frac{\pi}{2}) | \left(3, \frac{\pi}{2}\right)
(3, \frac{\pi}{2}) | (3, \pi/2)
(1,2) | (1, 2)
(1,2) | 1, 2
(1,2) | \left(\frac{2}{2}, 2.0\right)
(1,2) | (x,y) = (1,2)
(1,2,3) | [1,2,3]
(1,2) | \langle 1, 2 \rangle
(\sqrt{8}, 1) | (2\sqrt{2}, 1)
(\ln 4, 1) | (2 \ln 2, 1)
1,-2 | -2,1
3, 5, 7 | 7, 5, 3
3, 5, 7 | 3, 5, \text{ and } 7
3, 5, 7 | \{3, 5, 7\}
\{1,2,3\} | \{3,2,1\}
\{1,2,3\} | 1, 2, 3
\{1,2\} | \{1,1,2\}
\{5\} | 5
10, 11, 12, 13, 14, -2, -1 | -2,-1,10,11,12,13,14
19, 46, \text{ and } 82 | 82, 19, 46
1,234, 5,678 | 5678, 1234
100, 200 | 200,100
\sqrt{2}, \sqrt{3} | \sqrt{3}, \sqrt{2}
\ln 4, 3 | 3, 2\ln 2
a=1 \text{ or } a=-2 | -2, 1
x = 1 \text{ or } x = 2 | x=2, x=1
x=1, y=2 | (1,2)
x=1, y=2 | y=2, x=1
x = 2, 3 | \{2,3\}
x \in \{2, 3\} | 2, 3
\pm 3 | 3, -3
3, -3 | \pm 3
x = \pm 3 | -3 \text{ or } 3
2 \pm \sqrt{3} | 2+\sqrt{3}, 2-\sqrt{3}
(1,2), (3,4) | (3,4), (1,2)
[2,5) | \left[2, 5\right)
[2,5) | 2 \leq x < 5
(2,\infty) | x > 2
x > 2 | (2, \infty)
x > 2 | 2 < x
m \geq \sqrt{2} | m \in [\sqrt{2}, +\infty)
[\sqrt{2}, +\infty) | m \geq \sqrt{2}
m \ge 2 | m ≥ 2
\left[ -\frac{\pi}{2}, \frac{\pi}{2} \right] | [-\pi/2, \pi/2]
(0,9) \cup (9,36) | (9,36) \cup (0,9)
(0,9) \cup (9,36) | (0, 9) ∪ (9, 36)
(-\infty, 0) \cup (0, \infty) | x \neq 0
(-\infty,\infty) | \mathbb{R}
\emptyset | \varnothing
\emptyset | \{\}
\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix} | \begin{bmatrix}-1&0\\0&-1\end{bmatrix}
\begin{pmatrix} 1/2 & 0 \\ 0 & 1 \end{pmatrix} | \begin{pmatrix} 0.5 & 0 \\ 0 & 1 \end{pmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \left(\begin{array}{c} 1 \\ 2 \end{array}\right)
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | (1, 2)
2x+4y-3=0 | y = -1/2*x + 3/4
2x+4y-3=0 | 4x+8y=6
y = 2x + 3 | 2x - y + 3 = 0
x^2 + y^2 = 4 | \frac{x^2}{4} + \frac{y^2}{4} = 1
1, 2, \ldots, n | 1, 2, \dots, n
1, 2, \ldots, n | 1, 2, 3, \ldots, n
1,2,\ldots,10 | 1,2,3,\cdots,10
1,2,\ldots,5 | 1,2,3,4,5
2, 4, 6, \ldots | 2, 4, 6, 8, \ldots
1, 2, 4, \ldots, 64 | 1, 2, 4, 8, ..., 64
a_1 | a_{1}
1:2 | 1 : 2
12:00 | 12:00
\text{13} | 13
13 | \text{13}
Monday | \text{Monday}
\text{Monday} | monday
\text{Evelyn} | Evelyn
\text{east} | \text{ East}
\text{Yes} | yes
\text{no} | \textbf{No}
\text{no solution} | \text{No solution}
\text{6 r 1} | \text{6 R 1}
\text{(C)} | C
\text{(C)} | c
C | (C)
C | \textbf{(C)}\ 42
C | (C) 42
C | C. 42
B | \text{B}
D | \mathrm{D}
B | \text{(B)}
\textbf{(C)}\ 7 | C
\textbf{(C)}\ 7 | (C)
\textbf{(C)}\ 7 | 7
\textbf{(C)}\ 7 | \text{(C) } 7
\textbf{(C)}\ 7 | \textbf{(C)}\ 7
\textbf{(C)} \frac{1}{2} | 0.5
7 | \textbf{(C)}\ 7
1-\frac{1}{2^{99}} | \frac{2^{99}-1}{2^{99}}
025 | 25
\frac{9}{2} | 4.5
4.5 | 4\frac{1}{2}
4.5 | 4 1/2
25\% | \frac{1}{4}
0.25 | 25 \%
\$18.90 | 18.9
18.90 | \$18.90
18.90\text{ dollars} | \$18.90
2 \times 10^{-3} | 0.002
0.002 | 2e-3
6.022 \times 10^{23} | 6.022e23
(-\infty, 2] | x \le 2
(-\infty,2]\cup[5,\infty) | [5,\infty) \cup (-\infty,2]
x \in (1,3) | 1<x<3
1<x<3 | (1,3)
\{-1,0,1\} | -1, 0, 1
-1,0,1 | \{1,0,-1\}
\{x \mid x > 2\} | \{x | x>2\}
\begin{pmatrix}1&2\\3&4\end{pmatrix} | \begin{bmatrix}1 & 2\\3 & 4\end{bmatrix}
\begin{pmatrix} 3/5 \\ 4/5 \end{pmatrix} | \begin{pmatrix} \frac{3}{5} \\ \frac{4}{5} \end{pmatrix}
\begin{pmatrix} \sqrt{2} \\ 1 \end{pmatrix} | \begin{pmatrix} \frac{2}{\sqrt{2}} \\ 1 \end{pmatrix}
5\sqrt{2} | \sqrt{50}
\sqrt{50} | 7.0711
\sqrt{50} | 7.071067811865475
\frac{\sqrt{3}}{3} | \frac{1}{\sqrt 3}
\tan 30^\circ | \frac{1}{\sqrt3}
45^\circ | 45°
45^{\circ} | 45 degrees
10 \text{ mph} | 10
10 \text{ mph} | 10 \text{ miles per hour}
12\text{ in}^2 | 12
12 \text{ square inches} | 12 \text{ in}^2
1,000,000 | 10^6
10^6 | 1 million
1.5 \text{ million} | 1500000
y=-2x+1 | y = 1-2x
y=-2x+1 | 2x+y=1
x+y=3 | y+x-3=0
(x-2)^2+(y+3)^2=16 | x^2+y^2-4x+6y=3
x=\frac{1\pm\sqrt{5}}{2} | \frac{1+\sqrt5}{2}, \frac{1-\sqrt5}{2}
\frac{1\pm\sqrt{5}}{2} | x = \frac{1 \pm \sqrt{5}}{2}
2,3 | x=2 \text{ and } x=3
2,3 | x_1 = 2, x_2 = 3
2,3 | x_1 = 3, x_2 = 2
(2,3) | x=2,\ y=3
(4,5,6) | a=4, b=5, c=6
f(x)=x^2 | x^2
f(x)=x^2 | y=x^2
g(x)=x^2 | f(x) = x^2
\ln(2) | \ln 2
\log_{10} 2 | 0.30103
3\ln 2 | \ln 8
e^2 | 7.389056
e^{-1} | \frac{1}{e}
e^{2x} | (e^x)^2
\frac{x+1}{x-1} | \frac{-x-1}{1-x}
x^2-1 | (x-1)(x+1)
-\frac{3}{4} | \frac{3}{-4}
-\frac{3}{4} | -0.75
-\frac34 | −3/4
\text{even} | even
\text{True} | true
\text{(A)} | A) 3
A | \text{A. } 3
A | Option A
B | \textbf{B}
\textbf{(B)}\ \frac{1}{2} | B
\textbf{(B)}\ \frac{1}{2} | \frac{2}{4}
\mathrm{(E)}\ 12 | 12
\textbf{(E) } 12 | E
\text{E} | \textbf{(E)}
11 | 11_{10}
101_2 | 5_{10}
FF_{16} | 255_{10}
1\,011_2 | 1011_2
1, 3, 5, \ldots, 99 | 1,3,5,...,99
0.\overline{27} | \frac{3}{11}
0.1\overline{6} | \frac16
0.\dot{3} | \frac13
3:2 | 3 : 2
3:2 | 6:4
\frac{3}{2} | 3:2
2^{10} | 1024
10! | 3628800
\binom{6}{3} | 20
{6 \choose 3} | 20
\frac{10!}{2^5} | 113400
3^{1000} | 9^{500}
|x-1| | |1-x|
\infty | +\infty
\sum_{k=1}^n k | \frac{n(n+1)}{2}
\frac{\pi^2}{6} | 1.644934
\pi | 3.1416
\pi | 3.1415
3+4i | 4i+3
3 + 4i | 3+4\mathrm{i}
\frac{1}{i} | -i
\frac{1+i}{2} | 0.5+0.5i
x^2y | yx^2
3xy^2 | 3 x y^2
(a+b)(a-b) | a^2-b^2
x^{-1} | 1/x
\sqrt{x} | x^{1/2}
2\theta | \theta \cdot 2
\frac{a}{b} | a/b
\frac{1}{2}gt^2 | gt^2/2
\frac{ab}{2} | \frac{1}{2}ab
4 | 2+2
4 | 2+2=4
4 | 16/4
4 | \sqrt{16}
3.14 | 3.14
1000 | 1{,}000
1000.5 | 1.000,5
0.1 | 0.1000000000000000055511151231257827
5 | \text{5}
5 | \mathbf{5}
5 | {5}
5 | (5)
5 | \left(5\right)
5 | \displaystyle 5
5 | \!5
5 | 5\%
5 | ~5~
5 | 5\quad
5 | \$5\$
"""

# Pairs that are different answers, whichever is the reference; with '|>' only in this order.
OTHER = r"""
2 | 3
52_8 | 528
52_8 | 52_9
52_8 | 42
52_8 | 53
1011_2 | 1011_3
1011_2 | 11
1011_2 | 101_2
4210_{5} | 42105
52_{8}+1 | 52_{9}+1
a_1 | a_2
a_{12} | a_{13}
x_1 = 3 | x_1 = 4
\frac{1}{2^{60}} | \frac{1}{2^{61}}
\frac{1}{2^{99}} | \frac{1}{2^{98}}
\frac{1}{2^{99}} | 0
1-\frac{1}{2^{99}} | 1
1-\frac{1}{2^{30}} | 1
2^{-60} | 2^{-61}
\frac{1}{20!} | \frac{1}{21!}
\frac{1}{2004!} | \frac{1}{2006!}
\frac{1}{50!} | 0
\frac{1}{1000000} | \frac{1}{2000000}
\frac{1}{13983816} | 0
\frac{1}{\binom{100}{50}} | \frac{2}{\binom{100}{50}}
\binom{49}{6}^{-1} | 0
1.6 \times 10^{-19} | 9.1 \times 10^{-31}
1.6e-19 | 9.1e-31
6.63 \times 10^{-34} | 1.05 \times 10^{-34}
3 \times 10^{-8} | 5 \times 10^{-9}
10^{-16} | 10^{-17}
0.00001 | 0.00002
0.0005 | 0.0004
(10^{-7}, 1) | (10^{-8}, 1)
\{10^{-9}, 1\} | \{10^{-10}, 1\}
e^{-50} | e^{-51}
1 - e^{-60} | 1
\pi \cdot 10^{-20} | \pi \cdot 10^{-21}
\ln 2 \cdot 10^{-20} | \ln 2 \cdot 10^{-21}
10^{20} | 10^{20}+1
2^{100} | 1267650600228229401496703205377
123456789012345678 | 123456789012345679
123456.7 | 123456.8
5 | 5.00001
1 | 0.999999
1 | 0.99
\frac{14}{3} | 4.67
\frac{3}{56} | 0.0536
\frac{1}{3} | 0.33
\frac{1}{3} | 0.3333
\sqrt{2} | 1.41
\pi | 3.14
\pi | \frac{22}{7}
\frac{365!}{335! \cdot 365^{30}} | 0.2937
1234 | 12,34
1234 | 1.234
3.5 | 3,5
12 | 1 2
5\% | 50\%
0.5\% | 0.5\cdot 10^{-4}
5 | -5
5 | −5
3t | 3
2h |> 2
4 | 4\sqrt{2}
4 | 4\sqrt(2)
4 | 4x
5 \text{ cm} | 5 \text{ m}
5 \text{ cm} | 5 \text{ cm}^2
5 \text{ hours} | 5 \text{ minutes}
3\text{ million} | 3
3\text{ million} | 3 \text{ thousand}
\pm 2021 | 2021
\pm 3 | 3
2 \pm \sqrt{3} | 2+\sqrt{3}
x=5 | y=5
x=5 | 6
f(x) = 0 | f(x) = 1
x=1, y=2 | x=2, y=1
x=1, y=2 | (2,1)
a=1 \text{ or } a=-2 | a=1
a=1 \text{ or } a=-2 | 1
n=2, 3, 4 | n=1, 2, 3
D = (0, 1) | D = (0, 1.5)
p - q | q-p
x+1 | x-1
x^2 | 2x
2(x+1) | 2x+1
abc | ab
\sqrt{x^2} | x
|x| | x
N | n
6 - 5i | 6+5i
14 - i | 14
14-i | 14-2i
i | -i
(1,2) | (2,1)
[1,2] | (1,2)
(1,2] | [1,2)
(1,2) | \{1,2\}
(1,2) | (1,2,3)
(1,2) | (1,3)
(1,2) | 3
\{1,2,3\} | \{1,2\}
\{1,2,3\} | \{1,2,4\}
3, 5, 7 | 3, 5
3, 5, 7 | 3, 5, 8
19, 46, \text{ and } 82 | 21, 36, and 82
\sqrt{2}, \sqrt{3} | \sqrt{2}, \sqrt{5}
(0,9) \cup (9,36) | (0,36)
(0,9) \cup (9,36) | (0,9) \cup (9,35)
(0,9) \cup (9,36) | (0,9) \cup [9,36)
(2,\infty) | x \geq 2
x > 2 | x < 2
x > 2 | 2
x > 2 | x > 3
(3, \frac{\pi}{2}) | (3, \frac{\pi}{3})
\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix} | \begin{pmatrix} 1 & 0 \\ 0 & -1 \end{pmatrix}
\begin{pmatrix} 1 & 2 \end{pmatrix} | \begin{pmatrix} 1 \\ 2 \end{pmatrix}
\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} | \begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}
3x-y+13=0 | 3x+4y+14=0
\frac{x^2}{4}+\frac{y^2}{3}=1 | \frac{x^2}{16}+\frac{y^2}{12}=1
y = 2x + 3 | y = 2x - 3
2x + 4y = 3 |> 3
F_n = \sum_{k=0}^{n-1} F_k F_{n-k-1} | F_n = \sum_{k=0}^{n-2} F_k F_{n-k-2}
\frac{2^{2005}+1}{3 \cdot 2^{2006}} | \frac{1}{3 \cdot 2^{2006}}
1 - \frac{1}{\mathrm{e}} | 1 + \frac{1}{\mathrm{e}}
1, 2, \ldots, n | 1, 3, 5, \ldots, 2n-1
1,2,\ldots,10 | 1,3,\ldots,10
1,2,\dots,n | 1,2,\dots,2n
1,2,\dots,n | n
2,4,6,\ldots | 1,3,5,\ldots
2, 4, \ldots | 2, 4, 8, \ldots
1,4,7,\ldots,3k+1 | 2,5,8,\ldots,3k+2
1,2,\ldots,5 | 1,2,3,5
1:2:3:\ldots | 1:4:9:\ldots
\{1, 2, \ldots, 10\} | \{1, 2, \ldots, 11\}
1+2+\cdots+n | 1+3+\cdots+n
12:00 | 1:00
\text{Monday} | \text{Tuesday}
\text{east} | \text{seat}
east | seat
\text{Yes} | \text{No}
\text{Monday} | 5
\text{6 r 1} | \text{6 r 2}
\text{no solution} | 0
A | B
C | 7
\textbf{(C)}\ 7 | 8
\textbf{(C)}\ 7 | D
\textbf{(C)}\ 7 | (D)
\textbf{(C)}\ 7 | (C) 8
\textbf{(C)}\ 7 | (D) 7
\textbf{(C)}\ 7 | B \text{ or } C
5 | x = 5 \text{ or } x = 6
5 | 5, 6
5 | 5 \text{ or } 6
5 | 5 or 6
5 | 5; 6
5 | 5 \text{ and } 6
5 | 5 \text{ (or 6)}
5 | 5 \lor 6
5 | 5/6
5 | 5 \ne 6
5 | \neq 5
5 | > 5
5 | \approx 5.2
5 | \{5, 6\}
5 | [5, 6]
5 | 5-6
5 | 5, \ldots
1, 2 | 1, 2, 3
C | C, D
C | C \text{ or } D
\frac{1}{3} |> 33.3\%
\$18.90 |> 18.91
2 \times 10^{-3} |> 2 \times 10^{-4}
(-\infty, 2] |> (-\infty,2)
1<x<3 |> 1 \leq x \leq 3
\begin{pmatrix}1&2\\3&4\end{pmatrix} |> \begin{vmatrix}1 & 2\\3 & 4\end{vmatrix}
\sqrt{50} |> 7.07
45^\circ |> 46^\circ
y=-2x+1 |> 2x+y=2
(x-2)^2+(y+3)^2=16 |> x^2+y^2-4x+6y=4
x=\frac{1\pm\sqrt{5}}{2} |> \frac{1+\sqrt5}{2}
(2,3) |> x=3,\ y=2
x^2-1 |> (x-1)^2
\text{even} |> odd
\text{False} |> True
\text{Alice} |> \text{Alice and Bob}
\textbf{(B)}\ \frac{1}{2} |> (A)\ \frac12
\textbf{(E) }12 |> \textbf{(E) }13
77_8 |> 77_{10}
12.5_8 |> 12.5_9
1, 3, 5, \ldots, 99 |> 1,3,5,...,101
0.\overline{27} |> 0.27
3:2 |> 2:3
2^{10} |> 1023
10! |> 3628801
2^{1000} |> 2^{1001}
\lfloor x \rfloor |> \lceil x \rceil
\max(a,b) |> \min(a,b)
\infty |> -\infty
\infty |> 5
\pi |> 3.14160
3+4i |> 3-4i
3xy^2 |> 3x^2y
\theta |> \alpha
4 |> \pm 4
4 |> 4 \pm 1
3.14 |> \pi
1000 |> 1.000
5 |> 5.0000000000001
5 |> 5 \ldots
"""

# Reference, outcome and response.
TEXTS = [
    ("2", "correct", "Either way, our answer is $\\boxed 2$."),
    ("3", "wrong", "Either way, our answer is $\\boxed 2$."),
    ("2", "correct", "A first try gives $\\boxed{3}$, but checking, our answer is $\\boxed 2$."),
    ("2", "correct", "our answer is $\\fbox{2}$."),
    ("2", "correct", "First $\\boxed{3}$; corrected: $\\fbox{2}$."),
    ("2", "correct", "our answer is \\boxed {2}."),
    ("2", "correct", "First \\boxed{3}, no: \\boxed {2}."),
    ("12", "correct", "so $\\boxed 12$."),
    ("\\frac{1}{2}", "correct", "so $\\boxed\\frac{1}{2}$."),
    ("[2,5)", "correct", "The domain is \\boxed{[2,5)}"),
    ("3, 5, 7", "correct", "The answers are \\boxed{3}, \\boxed{5}, \\boxed{7}"),
    ("3, 5, 7", "correct", "The answers are \\boxed{3}, \\boxed{5}, and \\boxed{7}."),
    ("(1, 2)", "correct", "So $x = \\boxed{1}$ and $y = \\boxed{2}$."),
    ("7", "wrong", "The answers are \\boxed{3}, \\boxed{5}, \\boxed{7}"),
    ("3", "wrong", "The answers are \\boxed{3}, \\boxed{5}, \\boxed{7}"),
    ("3", "wrong", "\\boxed{3} or \\boxed{5}"),
    ("3", "wrong", "\\boxed{5} or \\boxed{3}"),
    ("5", "wrong", "\\boxed{3} or \\boxed{5}"),
    ("5", "wrong", "\\boxed{3}\n\n\\boxed{5}"),
    ("5", "wrong", "\\boxed{3} or maybe \\boxed{5}"),
    ("3", "wrong", "\\boxed{3} (or maybe 5)"),
    ("3", "wrong", "\\boxed{3} or 5"),
    ("5", "wrong", "3 or \\boxed{5}"),
    ("5", "wrong", "Either $3$ or $\\boxed{5}$."),
    ("3", "wrong", "\\boxed{3 or 5}"),
    ("3", "wrong", "\\boxed{3\\text{ or }5}"),
    ("3", "wrong", "\\boxed{3, 5}"),
    ("3", "wrong", "The answer is \\boxed{3}. The answer is \\boxed{5}."),
    ("5", "wrong", "The answer is \\boxed{3}. The answer is \\boxed{5}."),
    ("3", "wrong", "The answer is not \\boxed{3}."),
    ("5", "correct", "The answer is \\boxed{5}, not \\boxed{3}."),
    ("5", "correct", "The answer is not \\boxed{3} but \\boxed{5}."),
    ("3", "correct", "\\boxed{3}. Again: \\boxed{3}"),
    ("\\frac{1}{2}", "correct", "\\boxed{\\frac{1}{2}}, or \\boxed{0.5}"),
    ("5", "correct", "We first find \\boxed{3}. " + "Then we go on. " * 8 + "\\boxed{5}"),
    ("42", "correct", "First \\boxed{41}, no: \\boxed{42}"),
    ("42", "correct", "\\boxed{41}. Wait, I made a mistake. \\boxed{42}"),
    ("3", "correct", "\\boxed{\\boxed{3}}"),
    ("3", "unreadable", "\\boxed{3}\n\n\\boxed{}"),
    ("3", "correct", "The answer is \\boxed{3}. Mark your solution with \\boxed"),
    ("3", "correct", "cut off: \\boxed{3"),
    ("3", "correct", "$$\\boxed{3}$$ I hope it is correct."),
    ("3", "correct", "The final answer is 3."),
    ("3", "correct", "The final answer is: $\\boxed{3}$. I hope it is correct."),
    ("3", "correct", "#### 3"),
    ("1234", "correct", "5 + 3 = 8 <<5+3=8>>\n#### 1,234"),
    ("18", "correct", "She makes 9 * 2 = $18 every day.\n#### 18"),
    ("18", "correct", "The answer is $18."),
    ("18", "correct", "The answer is \\$18."),
    ("3", "wrong", "#### 3\n#### 5"),
    ("3", "correct", "Final Answer: The final answer is $3$. I hope it is correct."),
    ("3", "correct", "Answer: 3"),
    ("3", "correct", "**Answer:** $3$"),
    ("3", "correct", "**Answer: 3**"),
    ("3", "correct", "Answer: **3**"),
    ("3", "correct", "**Final Answer**\n\n3"),
    ("3", "correct", "**Final Answer**\n\n\\[ \\boxed{3} \\]"),
    ("3", "correct", "答案是 3。"),
    ("3", "correct", "答案为：$\\boxed{3}$。"),
    ("3", "correct", "The final answer is \\(3\\)."),
    ("3", "correct", "The final answer is \\[3\\]"),
    ("3", "correct", "$$3$$"),
    ("3", "correct", "\\[ x = 3 \\]"),
    ("3", "correct", "We solve.\n\\[\nx = 3\n\\]"),
    ("3", "correct", "So x = 3"),
    ("3", "correct", "Hence $x = 3$."),
    ("3", "correct", "3 apples"),
    ("3", "correct", "The answer is 3 apples."),
    ("3", "correct", "The answer is 3 because 5 - 2 = 3."),
    ("3", "correct", "The answer is 3, since 5 is too large."),
    ("3", "correct", "The number of ways is 3."),
    ("3", "correct", "I think 3"),
    ("3", "correct", "**3**"),
    ("3", "correct", "3"),
    ("3", "correct", "3."),
    ("42", "correct", "**42.**"),
    ("-3", "correct", "The answer is -3."),
    ("0.5", "correct", "The answer is 0.5."),
    ("\\frac{1}{2}", "correct", "The answer is 1/2."),
    ("50\\%", "correct", "The answer is 50%."),
    ("x^2+2x+1", "correct", "The answer is $x^2+2x+1$."),
    ("x^2+2x+1", "correct", "The answer is x^2 + 2x + 1."),
    ("1, 2", "correct", "The answers are 1 and 2."),
    ("1, 2", "correct", "The answers are $1$ and $2$."),
    ("3, -3", "correct", "The answer is x = 3 or x = -3."),
    ("(1,2)", "correct", "The answer is $(1,2)$."),
    ("(1,2)", "correct", "The answer is (1, 2)."),
    ("C", "correct", "The answer is (C)."),
    ("C", "correct", "The answer is C."),
    ("\\textbf{(C)}\\ 7", "correct", "The answer is (C) 7."),
    ("\\textbf{(C)}\\ 7", "wrong", "The answer is (C) 8."),
    ("C", "wrong", "The answer is B or C."),
    ("C", "wrong", "The answer is (B) or (C)."),
    ("\\text{Monday}", "correct", "The answer is Monday."),
    ("\\text{Monday}", "wrong", "The answer is Tuesday."),
    ("\\text{Monday}", "wrong", "The answer is Monday or Tuesday."),
    ("\\text{Monday}", "wrong", "The answer is not Monday."),
    ("\\text{Monday}", "correct", "Monday"),
    ("3", "correct", "<answer>3</answer>"),
    ("3", "correct", "<answer> \\boxed{3} </answer>"),
    ("3", "correct", "<answer>\n3\n</answer>"),
    ("3", "correct", "<answer>$3$</answer>"),
    ("3", "correct", "<answer>x=3</answer>"),
    ("3", "correct", "<answer>The answer is 3</answer>"),
    ("3", "correct", "<answer>3.</answer>"),
    ("3", "correct", "Result: <answer>3</answer>\n"),
    ("3", "correct", "<answer>Since 5 - 2 = 3, the answer is 3.</answer>"),
    ("3", "correct", "<ANSWER>3</ANSWER>"),
    ("3", "correct", "<answer>3"),
    ("\\text{east}", "correct", "<answer>east</answer>"),
    ("3", "unreadable", "<answer></answer>"),
    ("3", "wrong", "<answer>3 or 5</answer>"),
    ("3", "wrong", "<answer>3</answer> <answer>5</answer>"),
    ("5", "wrong", "<answer>3</answer> <answer>5</answer>"),
    ("3", "wrong", "<answer>3</answer> \\boxed{5}"),
    ("5", "wrong", "<answer>3</answer> \\boxed{5}"),
    ("5", "wrong", "\\boxed{3} <answer>5</answer>"),
    ("3", "correct", "\\boxed{3} <answer>3</answer>"),
    ("3", "wrong", "<answer>It is not 3</answer>"),
    ("3", "wrong", "The answer is 5 or 3."),
    ("3", "wrong", "The answer is 3 or 5."),
    ("5", "wrong", "The answer is 5 or 6."),
    ("3", "wrong", "3 or 5"),
    ("5", "wrong", "3 or 5"),
    ("3", "wrong", "It is either 3 or 5."),
    ("5", "wrong", "It is either 3 or 5."),
    ("3", "wrong", "The answer is 3, 4, or 5."),
    ("5", "wrong", "The answer is 3, 4, or 5."),
    ("3", "wrong", "The answer is 3. The answer is 5."),
    ("5", "wrong", "The answer is 3. The answer is 5."),
    ("3", "wrong", "The answer is 5. The answer is 3."),
    ("3", "wrong", "5. The answer is 3."),
    ("5", "wrong", "5. The answer is 3."),
    ("3", "wrong", "5\n3"),
    ("3", "wrong", "The answer is not 3."),
    ("3", "wrong", "The answer isn't 3."),
    ("5", "correct", "The answer is not 3 but 5."),
    ("5", "correct", "The answer is 5, not 3."),
    ("3", "wrong", "The answer is between 3 and 5."),
    ("5", "wrong", "The answer is between 3 and 5."),
    ("3", "wrong", "The answer is neither 3 nor 5."),
    ("5", "wrong", "The answer is neither 3 nor 5."),
    ("3", "wrong", "The answer is 3 (or maybe 5)."),
    ("5", "wrong", "The answer is 3 (or maybe 5)."),
    ("3", "wrong", "The answer is 3, maybe 5."),
    ("3", "wrong", "The answer is 3, but it could also be 5."),
    ("3", "wrong", "The answer is 3. Alternatively, 5."),
    ("3", "wrong", "The answer is 3/5 or 3."),
    ("3", "wrong", "The answer is 3 to 5."),
    ("3", "wrong", "The answer is 3–5."),
    ("3", "wrong", "The answer is 3 if x is odd, otherwise 5."),
    ("3", "wrong", "The answer is at least 3."),
    ("3", "wrong", "The answer is $3$ or $5$."),
    ("3", "wrong", "The answer is $3$, $5$."),
    ("5", "wrong", "$5$, $6$, $7$"),
    ("7", "wrong", "$5$, $6$, $7$"),
    ("3", "wrong", "Answer: 3\nAnswer: 5"),
    ("5", "wrong", "Answer: 3\nAnswer: 5"),
    ("5", "correct", "First 3, no: 5"),
    ("5", "correct", "The answer is 3. Wait, that is wrong. The answer is 5."),
    ("5", "correct", "The answer is 3. No, the answer is 5."),
    ("5", "correct", "The answer is 3. Wait, no, it is 5."),
    ("42", "unreadable", "I do not know."),
    ("42", "unreadable", "no idea"),
    ("42", "unreadable", ""),
    ("42", "unreadable", "\\boxed{}"),
    ("42", "unreadable", "\\boxed{" + "1" * 2000 + "}"),
    ("5", "wrong", "\\boxed{5}\\boxed{6}"),
    ("5", "wrong", "\\boxed{5} \\text{ or } \\boxed{6}"),
    ("5", "wrong", "\\boxed{5}, or possibly \\boxed{6}"),
    ("5", "wrong", "$\\boxed{5}$ / $\\boxed{6}$"),
    ("6", "wrong", "$\\boxed{5}$ and $\\boxed{6}$"),
    ("5", "wrong", "\\boxed{5 \\lor 6}"),
    ("5", "wrong", "\\boxed{5 | 6}"),
    ("5", "wrong", "\\boxed{5 \\text{ if odd, } 6 \\text{ if even}}"),
    ("5", "wrong", "\\boxed{\\text{either } 5 \\text{ or } 6}"),
    ("5", "wrong", "\\boxed{5 \\sim 6}"),
    ("5", "wrong", "\\boxed{5 \\text{ to } 6}"),
    ("5", "wrong", "\\boxed{5 \\backslash 6}"),
    ("5", "wrong", "\\boxed{5 \\quad 6}"),
    ("5", "wrong", "\\boxed{5\\ 6}"),
    ("5", "wrong", "\\boxed{5 \\\\ 6}"),
    ("5", "wrong", "\\boxed{5\n6}"),
    ("5", "wrong", "\\boxed{5=6}"),
    ("5", "wrong", "\\boxed{5 \\approx 6}"),
    ("5", "wrong", "The answer could be 5 or 6."),
    ("5", "wrong", "The answer is 5, or is it 6?"),
    ("6", "wrong", "It could be 5. It could be 6."),
    ("5", "wrong", "Possible answers: 5, 6."),
    ("5", "wrong", "Answers: 5 and 6"),
    ("5", "wrong", "The answer is either 5 or it is 6."),
    ("5", "wrong", "5 (alternatively 6)"),
    ("6", "wrong", "5 (alternatively 6)"),
    ("5", "wrong", "5, 6"),
    ("5", "wrong", "5 6"),
    ("6", "wrong", "5 6"),
    ("5", "wrong", "5/6"),
    ("5", "wrong", "The answer is probably 5, but perhaps 6."),
    ("6", "wrong", "The answer is probably 5, but perhaps 6."),
    ("6", "wrong", "The answer is 5. But maybe the answer is 6."),
    ("6", "wrong", "Answer: 5\nOr: 6"),
    ("5", "wrong", "Answer: 5\nOr: 6"),
    ("5", "wrong", "**5** or **6**"),
    ("6", "wrong", "**5** or **6**"),
    ("5", "wrong", "The answer is one of 5, 6, 7."),
    ("5", "wrong", "The answer isn't 5, it's 6."),
    ("6", "correct", "The answer isn't 5, it's 6."),
    ("5", "wrong", "The answer cannot be 5."),
    ("5", "wrong", "5 is not the answer."),
    ("5", "wrong", "The answer is in the range 5 to 6."),
    ("5", "wrong", "The answer is > 5."),
    ("5", "wrong", "The answer is less than 5."),
    ("5", "wrong", "The answer lies in (5, 6)."),
    ("5", "wrong", "<answer>5</answer><answer>6</answer>"),
    ("6", "wrong", "<answer>5</answer><answer>6</answer>"),
    ("5", "wrong", "<answer>5, 6</answer>"),
    ("5", "wrong", "<answer>The answer is 5 or 6.</answer>"),
    ("5", "wrong", "<answer>\\boxed{5} or \\boxed{6}</answer>"),
    ("5", "correct", "<answer>The result is $5$.</answer>"),
    ("5", "correct", "<answer>So we get 5 apples.</answer>"),
    ("5", "correct", "<answer>We computed 2+3. Therefore, the answer is 5.</answer>"),
    ("1/2", "correct", "<answer>\\frac{1}{2}</answer>"),
    ("x+1", "correct", "<answer>x+1</answer>"),
    ("6", "correct", "I thought 5, but it is 6."),
    ("6", "correct", "The answer is 5... no, 6."),
    ("6", "correct", "\\boxed{5}... no, \\boxed{6}"),
    ("6", "correct", "So \\boxed{5}. Hmm, wait, \\boxed{6}."),
    ("5", "wrong", "So \\boxed{5}. Hmm, wait, \\boxed{6}."),
    ("6", "correct", "Step 1: 5.\nStep 2: 6.\nThe answer is 6."),
    ("8", "correct", "There are 3 + 5 = 8 of them.\n\nThe answer is 8. I hope it helps 100%!"),
    ("8", "correct", "The answer to question 3 is 8."),
    ("8", "correct", "Therefore, the answer is 3 + 5 = 8."),
    ("8", "correct", "Therefore, the answer is $3 + 5 = 8$."),
    ("8", "correct", "Therefore, the answer is $3 + 5 = \\boxed{8}$."),
    ("8", "correct", "Answer: 8 apples (3 + 5)"),
    ("8", "correct", "The answer is: \n\n$$8$$"),
    ("8", "correct", "Answer:\n8"),
    ("8", "correct", "The final answer is: 8 ."),
    ("8", "correct", "ANSWER: 8"),
    ("8", "correct", "**Answer**: 8"),
    ("8", "correct", "*Answer:* $8$."),
    ("8", "correct", "The correct answer is 8."),
    ("8", "correct", "Our answer is therefore 8."),
    ("8", "correct", "8 is the answer."),
    ("8", "correct", "The result is 8."),
    ("8", "correct", "We get $x = 8$"),
    ("8", "correct", "Thus there are $8$ ways."),
    ("8", "correct", "Thus, there are $\\boxed{8}$ ways to choose 2 of 5."),
    ("8", "correct", "### Answer\n8"),
    ("8", "correct", "## Final Answer\n\n**8**"),
    ("8", "correct", "Final answer: `8`"),
    ("8", "correct", "The answer is **8**, which is 2^3."),
    ("8", "correct", "The answer is 8 (since 3 + 5 = 8)."),
    ("8", "correct", "The answer is 8. Check: 8 - 3 = 5."),
    ("8", "correct", "The answer is 8. This may be checked by 3 + 5."),
    ("8", "correct", "The answer is 8; see step 3."),
    (
        "5",
        "correct",
        "To solve this, we factor.\n\n**Step 1:** $x^2-7x+10=0$ gives $x=2$ or $x=5$.\n\n**Step 2:** The larger root is $5$.\n\n**Answer:** $\\boxed{5}$",
    ),
    (
        "5",
        "correct",
        "The roots are $\\boxed{2}$ and $\\boxed{5}$. Since we want the larger, the final answer is $\\boxed{5}$.",
    ),
    (
        "\\frac{3}{4}",
        "correct",
        "So the probability is\n\\[\n\\frac{6}{8} = \\boxed{\\frac{3}{4}}.\n\\]",
    ),
    (
        "18",
        "correct",
        "Janet sells 16 - 3 - 4 = 9 duck eggs a day.\nShe makes 9 * 2 = $18 every day at the farmer's market.\n#### 18",
    ),
    ("18", "correct", "She makes 9 * 2 = $18 every day at the farmer's market."),
    (
        "72",
        "correct",
        "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\nThe answer is 72.",
    ),
    ("72", "correct", "Therefore, Natalia sold a total of **72 clips** in April and May."),
    ("12", "correct", "Hence the number of ways is $4 \\cdot 3 = 12$."),
    ("12", "correct", "Thus, $n = 12$. \n\nThis completes the solution."),
    (
        "2",
        "correct",
        "**Final Answer:**\n\nThe value of $x$ is $\\boxed{2}$.\n\nLet me know if you have questions!",
    ),
    ("(3,4)", "correct", "Therefore $(x, y) = \\boxed{(3, 4)}$, since $3 + 4 = 7$ or so."),
    (
        "34",
        "correct",
        "The sum of the roots is $\\boxed{34}$.\n\nTo verify: $17 + 17 = 34$ or $2 \\cdot 17$.",
    ),
    ("B", "correct", "Option A fails. Option C fails. Therefore the correct answer is **B**."),
    ("B", "correct", "The answer is **(B) Paris**."),
    ("B", "correct", "Answer: B"),
    ("B", "correct", "\\boxed{B}"),
    ("B", "correct", "So the correct choice is \\boxed{\\text{B}}, not A or C."),
    ("033", "correct", "m+n = 33, so \\boxed{033}."),
    ("204", "correct", "The walk takes 204 minutes. $\\boxed{204}$"),
    ("\\text{(A)}", "correct", "The answer is $\\boxed{\\textbf{(A) }12}$"),
    ("x^2+1", "correct", "The polynomial is $p(x) = \\boxed{x^2+1}$"),
    ("-1", "correct", "We get $x=-1$ or $x=3$; but $x>2$ is excluded, so $x=\\boxed{-1}$."),
    ("6", "correct", "If $x=2$ or $x=3$, then the product is $\\boxed{6}$."),
    ("\\frac{1}{2}", "correct", "The probability is $\\boxed{\\frac12}$ or 50%."),
    ("\\frac{1}{2}", "correct", "The answer is $\\frac{1}{2}$, or $0.5$."),
    ("10", "correct", "The area is $\\boxed{10\\text{ cm}^2}$."),
    ("3", "correct", "Therefore there are \\boxed{3} solutions: $x=1$, $x=2$, $x=5$."),
    ("3", "correct", "There are \\boxed{3} or more precisely exactly 3."),
    ("7", "correct", "The answer to the problem is 7, because 3 + 4 = 7."),
    ("7", "correct", "<think>maybe 5 or 6</think>\n<answer>7</answer>"),
    (
        "7",
        "correct",
        "The final answer is:\n\n\\[\n\\boxed{7}\n\\]\n\n---\n\n**Explanation**: 3 and 4.",
    ),
    ("2\\sqrt{2}", "correct", "the distance is $\\sqrt{8} = 2\\sqrt{2} \\approx 2.83$."),
    ("2\\sqrt{2}", "correct", "The answer is $2\\sqrt{2} \\approx 2.83$."),
    ("120", "correct", "there are $5! = \\boxed{120}$ arrangements"),
    ("1", "correct", "$\\boxed{1}$ is the answer. (2 is not.)"),
    ("3", "wrong", "\\boxed{3} or about 5"),
    ("3", "wrong", "The answer is 3 or about 5."),
]


def quick_outcome(reference: str, answer: str) -> str | None:
    """The outcome of an answer that is decided without algebra, else None."""
    return {None: None, True: "correct", False: "wrong"}[same_answer(reference, answer)]


def pairs(table: str) -> list[tuple[str, str, bool]]:
    """Reference, answer, and whether the pair holds in this order only."""
    found = []
    for line in table.strip().splitlines():
        one_way = " |> " in line
        right, given = line.split(" |> " if one_way else " | ", 1)
        found.append((right, given, one_way))
    return found
