// The loops themselves, the same for ctxprof and for `go test -bench . -cpu=1`.
package main

import (
	"runtime"
	"time"
)

// A loop plays ops. Its goroutines were made with it, and wait between plays.
type loop struct {
	// play plays so many in a row.
	play func(ops int)
	// each does so too and notes the end of every one. The op stands in both loops: in a function of its own it would
	// return once more after every switch, which no processor foresees there, 5 ns.
	each func(ops int)
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
		each: func(ops int) {
			beginNotes()
			for op := 0; op < ops; op++ {
				there <- op
				<-back
				note(op)
			}
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
		each: func(ops int) {
			beginNotes()
			for op := 0; op < ops; op++ {
				there <- op
				note(op)
			}
		},
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
		each: func(ops int) {
			beginNotes()
			for op := 0; op < ops; op++ {
				there <- op
				back <- <-there
				<-back
				note(op)
			}
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
		each: func(ops int) {
			beginNotes()
			for op := 0; op < ops; op++ {
				there <- op
				<-there
				note(op)
			}
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

// mostEach is how many ops can be noted in a row.
const mostEach = 10000

// When a row of ops was begun, and then each had ended: not on the heap.
var (
	begun   time.Time
	moments [mostEach + 1]int64
)

func beginNotes() {
	begun = time.Now()
	moments[0] = int64(time.Since(begun))
}

func note(op int) {
	moments[op+1] = int64(time.Since(begun))
}
