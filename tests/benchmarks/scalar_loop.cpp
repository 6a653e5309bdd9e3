// The scalar loop of scalar_loop.py in C++: one walker at a time, theta carried along, xoshiro256++ for random numbers.
// Built by native_loop.py with -O3 -march=native -ffast-math.

#include <cmath>
#include <cstdint>
#include <vector>

struct Machine {
    std::int64_t particles, dimensions, hidden;
    double step;
    const double *center, *inverse_variance, *bias, *weight, *weight_square;
};

namespace {

std::uint64_t state[4];

inline std::uint64_t rotated(std::uint64_t word, int bits) { return (word << bits) | (word >> (64 - bits)); }

inline double uniform() {
    const std::uint64_t word = rotated(state[0] + state[3], 23) + state[0], shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotated(state[3], 45);
    return static_cast<double>(word >> 11) * 0x1p-53;
}

inline double softplus_of(double x) {
    return x > 0.0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

struct Walker {
    const Machine &m;
    double *x;
    std::vector<double> theta, softplus, new_theta, new_softplus, sigmoid;

    explicit Walker(const Machine &machine)
        : m(machine), x(nullptr), theta(m.hidden), softplus(m.hidden), new_theta(m.hidden), new_softplus(m.hidden),
          sigmoid(m.hidden) {}

    void start(double *place) {
        x = place;
        for (std::int64_t j = 0; j < m.hidden; ++j) {
            theta[j] = m.bias[j];
            for (std::int64_t i = 0; i < m.particles * m.dimensions; ++i) theta[j] += m.weight[i * m.hidden + j] * x[i];
            softplus[j] = softplus_of(theta[j]);
        }
    }

    std::int64_t sweep() {
        std::int64_t accepted = 0;
        double move[3];
        for (std::int64_t particle = 0; particle < m.particles; ++particle) {
            const std::int64_t first = particle * m.dimensions;
            double logarithm = 0.0;
            for (std::int64_t k = 0; k < m.dimensions; ++k) {
                const std::int64_t i = first + k;
                move[k] = m.step * (2.0 * uniform() - 1.0);
                logarithm -= m.inverse_variance[i] * move[k] * (x[i] - m.center[i] + 0.5 * move[k]);
            }
            for (std::int64_t j = 0; j < m.hidden; ++j) {
                double theta_j = theta[j];
                for (std::int64_t k = 0; k < m.dimensions; ++k) theta_j += m.weight[(first + k) * m.hidden + j] * move[k];
                new_theta[j] = theta_j;
                new_softplus[j] = softplus_of(theta_j);
                logarithm += new_softplus[j] - softplus[j];
            }
            if (logarithm >= 0.0 || uniform() < std::exp(logarithm)) {
                ++accepted;
                for (std::int64_t k = 0; k < m.dimensions; ++k) x[first + k] += move[k];
                theta.swap(new_theta);
                softplus.swap(new_softplus);
            }
        }
        return accepted;
    }

    double energy() {
        const std::int64_t units = m.particles * m.dimensions;
        double laplacian = 0.0, squares = 0.0, sum = 0.0;
        for (std::int64_t j = 0; j < m.hidden; ++j) {
            sigmoid[j] = 1.0 / (1.0 + std::exp(-theta[j]));
            laplacian += m.weight_square[j] * sigmoid[j] * (1.0 - sigmoid[j]);
        }
        for (std::int64_t i = 0; i < units; ++i) {
            laplacian -= m.inverse_variance[i];
            double slope = -m.inverse_variance[i] * (x[i] - m.center[i]);
            for (std::int64_t j = 0; j < m.hidden; ++j) slope += m.weight[i * m.hidden + j] * sigmoid[j];
            squares += 0.25 * slope * slope;
            sum += 0.5 * x[i] * x[i];
        }
        for (std::int64_t second = m.dimensions; second < units; second += m.dimensions)
            for (std::int64_t first = 0; first < second; first += m.dimensions) {
                double squared_distance = 0.0;
                for (std::int64_t k = 0; k < m.dimensions; ++k) {
                    const double difference = x[first + k] - x[second + k];
                    squared_distance += difference * difference;
                }
                sum += 1.0 / std::sqrt(squared_distance);
            }
        return sum - 0.5 * (0.5 * laplacian + squares);
    }

    // d ln psi by a, b, w[units][hidden] and ln sigma.
    void derivatives(double *row) {
        const std::int64_t units = m.particles * m.dimensions;
        for (std::int64_t j = 0; j < m.hidden; ++j) {
            sigmoid[j] = 1.0 / (1.0 + std::exp(-theta[j]));
            row[units + j] = 0.5 * sigmoid[j];
        }
        for (std::int64_t i = 0; i < units; ++i) {
            const double distance = x[i] - m.center[i], slope = 0.5 * m.inverse_variance[i] * distance;
            double *weights = row + units + (1 + i) * m.hidden, couplings = 0.0;
            for (std::int64_t j = 0; j < m.hidden; ++j) {
                weights[j] = 0.5 * m.inverse_variance[i] * x[i] * sigmoid[j];
                couplings += m.weight[i * m.hidden + j] * sigmoid[j];
            }
            row[i] = slope;
            row[units + m.hidden + units * m.hidden + i] = slope * distance - x[i] * couplings;
        }
    }
};

}  // namespace

extern "C" void seed(std::uint64_t number) {
    for (int word = 0; word < 4; ++word) {  // splitmix64
        std::uint64_t z = (number += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        state[word] = z ^ (z >> 31);
    }
}

// Walks double[count][units] by a number of sweeps; sums: of E and E^2 of each walker, where it measures.
extern "C" std::int64_t walk(const Machine *m, double *walkers, std::int64_t count, std::int64_t sweeps, int measures,
                             double *sums) {
    Walker walker(*m);
    std::int64_t accepted = 0;
    for (std::int64_t number = 0; number < count; ++number) {
        walker.start(walkers + number * m->particles * m->dimensions);
        for (std::int64_t sweep = 0; sweep < sweeps; ++sweep) {
            accepted += walker.sweep();
            if (measures) {
                const double energy = walker.energy();
                sums[2 * number] += energy;
                sums[2 * number + 1] += energy * energy;
            }
        }
    }
    return accepted;
}

// Adds local energies, that many times; walkers inside, or the compiler might see that nothing changes.
extern "C" void energies(const Machine *m, double *walkers, std::int64_t count, std::int64_t times, double *sums) {
    std::vector<Walker> all(count, Walker(*m));
    for (std::int64_t number = 0; number < count; ++number)
        all[number].start(walkers + number * m->particles * m->dimensions);
    for (std::int64_t time = 0; time < times; ++time)
        for (std::int64_t number = 0; number < count; ++number) {
            const double energy = all[number].energy();
            sums[2 * number] += energy;
            sums[2 * number + 1] += energy * energy;
        }
}

// Fills double[count][trained], that many times.
extern "C" void derivatives(const Machine *m, double *walkers, std::int64_t count, std::int64_t times, double *rows) {
    const std::int64_t units = m->particles * m->dimensions, trained = 2 * units + (1 + units) * m->hidden;
    std::vector<Walker> all(count, Walker(*m));
    for (std::int64_t number = 0; number < count; ++number) all[number].start(walkers + number * units);
    for (std::int64_t time = 0; time < times; ++time)
        for (std::int64_t number = 0; number < count; ++number) all[number].derivatives(rows + number * trained);
}
