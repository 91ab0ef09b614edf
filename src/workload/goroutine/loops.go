// The loops themselves, the same for ctxprof and for `go test -bench . -cpu=1`.
package main

import "runtime"

// A loop plays ops. Its goroutines were made with it, and wait between plays.
type loop struct {
	// play plays so many in a row.
	play func(ops int)
	// one plays a single one, for who looks at the clock after each. A call of it costs a nanosecond or two, so play has a
	// loop of its own.
	one func(op int)
}

// channelPingPong has two goroutines hand a number to and fro through two unbuffered channels. One op is a round trip,
// two goroutine switches:
//
//	leader    send ─ receive waits            receive returns
//	follower             receive returns ─ send ─ receive waits
func channelPingPong() loop {
	there, back := make(chan int), make(chan int)
	go func() {
		for {
			back <- <-there
		}
	}()
	letFollowerWait()
	return loop{
		play: func(ops int) {
			for op := 0; op < ops; op++ {
				there <- op
				<-back
			}
		},
		one: func(op int) {
			there <- op
			<-back
		},
	}
}

// oneway has one goroutine send to another through one unbuffered channel: the classic benchmark of goroutines. One op is a
// message. A send to a goroutine that waits does not wait itself, so that messages pass in pairs, two goroutine switches
// per pair:
//
//	leader    send 1 ─ send 2 waits                            send 2 returns ─ send 3 ─ …
//	follower           receive 1 returns ─ receive 2 ─ receive 3 waits
func oneway() loop {
	there := make(chan int)
	go func() {
		for {
			<-there
		}
	}()
	letFollowerWait()
	return loop{
		play: func(ops int) {
			for op := 0; op < ops; op++ {
				there <- op
			}
		},
		one: func(op int) { there <- op },
	}
}

// channelFloor is what remains of channelPingPong when nothing switches: one goroutine makes the same two sends and two
// receives by itself, through channels that hold one number.
func channelFloor() loop {
	there, back := make(chan int, 1), make(chan int, 1)
	return loop{
		play: func(ops int) {
			for op := 0; op < ops; op++ {
				there <- op
				back <- <-there
				<-back
			}
		},
		one: func(op int) {
			there <- op
			back <- <-there
			<-back
		},
	}
}

// onewayFloor is what remains of oneway when nothing switches: one goroutine sends and receives by itself.
func onewayFloor() loop {
	there := make(chan int, 1)
	return loop{
		play: func(ops int) {
			for op := 0; op < ops; op++ {
				there <- op
				<-there
			}
		},
		one: func(op int) {
			there <- op
			<-there
		},
	}
}

// letFollowerWait gives way until a goroutine that can run has come to where it waits. Without a message on the way
// between plays, each play has the switches of its own ops.
func letFollowerWait() {
	// Every 61st time the scheduler looks for goroutines that gave way first, and finds the caller: not twice in a row.
	runtime.Gosched()
	runtime.Gosched()
}
