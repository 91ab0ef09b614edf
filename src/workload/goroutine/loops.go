// The loops themselves, the same for ctxprof and for `go test -bench . -cpu=1`.
package main

import (
	"os"
	"runtime"
	"sync/atomic"
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

// afterOthers calls main in a goroutine that is not the first of its program: pairs were there before, and the collector has run in
// between, as in any program that has been up for a while. What it and its partner wait with lies elsewhere in memory then, in one
// case of three where it takes a third longer (go1.19).
func afterOthers(main func()) {
	// Another number of them from start to start, so that the places are as various as a program's.
	for before := 1 + os.Getpid()%mostBefore; before > 0; before-- {
		played := make(chan struct{})
		go func() {
			channelPingPong().play(100)
			close(played)
		}()
		<-played
		runtime.GC()
	}
	go main()
	select {}
}

// mostBefore is how many pairs were there before at most.
const mostBefore = 16

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

// yield has two goroutines give way to each other. One op is one yield each, two goroutine switches. Every 61st time the
// scheduler may find the one that has just given way: a switch to itself, after which the other one is a yield behind. What
// begins and ends a play takes a few more.
//
//	leader    gives way            runs on ─ gives way
//	follower            gives way                      …
func yield() loop {
	wake := make(chan struct{})
	var playing int32
	go func() {
		for range wake {
			for atomic.LoadInt32(&playing) != 0 {
				runtime.Gosched()
			}
		}
	}()
	letFollowerWait()
	// Between plays the follower waits: one that could always run would keep the scheduler from everything else.
	begin := func() {
		atomic.StoreInt32(&playing, 1)
		wake <- struct{}{}
	}
	end := func() {
		atomic.StoreInt32(&playing, 0)
		letFollowerWait()
	}
	return loop{
		play: func(ops int) {
			begin()
			for op := 0; op < ops; op++ {
				runtime.Gosched()
			}
			end()
		},
		each: func(ops int) {
			begin()
			beginNotes()
			for op := 0; op < ops; op++ {
				runtime.Gosched()
				note(op)
			}
			end()
		},
	}
}

// pipePingPong has two goroutines hand a token to and fro through two pipes: each read would block, so that the goroutine waits
// for the runtime's poller (epoll) to find it readable. One op is a round trip, two goroutine switches.
func pipePingPong() loop {
	there, back := newPipe(), newPipe()
	go func() {
		var token token
		for {
			there.take(&token)
			back.give(&token)
		}
	}()
	letFollowerWait()
	return pipeLoop(func(token *token) {
		there.give(token)
		back.take(token)
	})
}

// pipeFloor is what remains of pipePingPong when nothing waits: one goroutine makes the same two writes and two reads by itself.
func pipeFloor() loop {
	there, back := newPipe(), newPipe()
	return pipeLoop(func(token *token) {
		there.give(token)
		there.take(token)
		back.give(token)
		back.take(token)
	})
}

func pipeLoop(op func(*token)) loop {
	var token token
	return loop{
		play: func(ops int) {
			for at := 0; at < ops; at++ {
				op(&token)
			}
		},
		each: func(ops int) {
			beginNotes()
			for at := 0; at < ops; at++ {
				op(&token)
				note(at)
			}
		},
	}
}

// A token is as long as an int of C, as `perf bench sched pipe` has it.
type token [4]byte

type pipe struct{ reader, writer *os.File }

func newPipe() pipe {
	reader, writer, err := os.Pipe()
	if err != nil {
		fail("making a pipe: " + err.Error())
	}
	return pipe{reader, writer}
}

func (pipe pipe) give(token *token) {
	if _, err := pipe.writer.Write(token[:]); err != nil {
		fail("writing into a pipe: " + err.Error())
	}
}

func (pipe pipe) take(token *token) {
	if _, err := pipe.reader.Read(token[:]); err != nil {
		fail("reading from a pipe: " + err.Error())
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
