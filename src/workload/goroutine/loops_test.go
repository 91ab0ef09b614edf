package main

import (
	"strconv"
	"strings"
	"testing"
)

func benchmark(b *testing.B, prepare func() loop) {
	loop := prepare()
	b.ReportAllocs()
	b.ResetTimer()
	loop.play(b.N)
}

// The classic: one op is one message.
func BenchmarkContextSwitch(b *testing.B) { benchmark(b, oneway) }

// One op is a round trip.
func BenchmarkContextSwitchPingPong(b *testing.B) { benchmark(b, channelPingPong) }

func BenchmarkYield(b *testing.B)     { benchmark(b, yield) }
func BenchmarkPipe(b *testing.B)      { benchmark(b, pipePingPong) }
func BenchmarkPipeFloor(b *testing.B) { benchmark(b, pipeFloor) }

// What is allocated would make the collector run in the middle of a play, sooner or later.
func TestPlaysAllocateNothing(t *testing.T) {
	for name, prepare := range loops {
		loop := prepare()
		for verb, answer := range verbs {
			if allocations := testing.AllocsPerRun(100, func() { answer(loop, 1001) }); allocations != 0 {
				t.Errorf("%s allocates %v times per %s", name, allocations, verb)
			}
		}
	}
}

func TestTheLongestAnswerHasRoom(t *testing.T) {
	// A tenth of a second for each op.
	for at := range moments {
		moments[at] = int64(at) * 100_000_000
	}
	answer := durations(append(room[:0], "100000000 100000000 100000000"...), mostEach)
	if len(answer)+1 > len(room) {
		t.Errorf("%d bytes", len(answer))
	}
}

func TestEveryOpHasADurationAndTogetherTheyAreThePlay(t *testing.T) {
	for name, prepare := range loops {
		numbers := strings.Fields(string(playEach(prepare(), 101)))
		if len(numbers) != 3+101 {
			t.Fatalf("%s: %d numbers", name, len(numbers))
		}
		sum := 0
		for _, number := range numbers[3:] {
			duration, err := strconv.Atoi(number)
			if err != nil || duration < 0 {
				t.Fatalf("%s: a duration of %q", name, number)
			}
			sum += duration
		}
		if elapsed, _ := strconv.Atoi(numbers[0]); sum > elapsed {
			t.Errorf("%s: ops of %d ns in a play of %d ns", name, sum, elapsed)
		}
	}
}
