package main

import "testing"

func benchmark(b *testing.B, prepare func() loop) {
	play := prepare()
	b.ReportAllocs()
	b.ResetTimer()
	play(b.N)
}

// The classic: one op is one message.
func BenchmarkContextSwitch(b *testing.B) { benchmark(b, oneway) }

// One op is a round trip.
func BenchmarkContextSwitchPingPong(b *testing.B) { benchmark(b, channelPingPong) }

func BenchmarkChannelFloor(b *testing.B) { benchmark(b, channelFloor) }
func BenchmarkOnewayFloor(b *testing.B)  { benchmark(b, onewayFloor) }

// What is allocated would make the collector run in the middle of a play, sooner or later.
func TestPlaysAllocateNothing(t *testing.T) {
	room := make([]byte, 0, 128)
	for name, prepare := range loops {
		play := prepare()
		if allocations := testing.AllocsPerRun(100, func() { timed(play, 1001, room) }); allocations != 0 {
			t.Errorf("%s allocates %v times per play", name, allocations)
		}
	}
}
