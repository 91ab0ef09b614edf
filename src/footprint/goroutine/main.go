// Parks goroutines on request, for ctxprof:
//
//	<program> <bytes of its stack that each touches>
//	→ ready <process id>
//	← make <count>
//	→ made <count> <ns until created> <ns until their bodies had run> 0
//	← own
//	→ own <bytes that runtime.MemStats has in use>
//	← end
//	→ ended <ns>
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	// A Ctrl-C reaches the whole process group, and the asking process still wants an answer; the end of stdin is the end.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	if len(os.Args) != 2 {
		fail("usage: " + os.Args[0] + " <bytes>")
	}
	stackUse, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	parked := newParties(stackUse)
	// Everything that answering allocates is allocated before anything is measured.
	parked.own()
	fmt.Printf("ready %d\n", os.Getpid())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(parked.reply(lines.Text()))
	}
}

// parties are goroutines that wait for a channel to be closed.
type parties struct {
	stackUse int
	made     int64
	arrived  int64
	ended    int64
	gate     chan struct{}
}

func newParties(stackUse int) *parties {
	return &parties{stackUse: stackUse, gate: make(chan struct{})}
}

func (all *parties) reply(question string) string {
	words := strings.Fields(question)
	switch {
	case len(words) == 2 && words[0] == "make":
		if count, err := strconv.Atoi(words[1]); err == nil && count >= 0 {
			created, ran := all.make(count)
			return fmt.Sprintf("made %d %d %d 0", count, created.Nanoseconds(), ran.Nanoseconds())
		}
	case len(words) == 1 && words[0] == "own":
		return fmt.Sprintf("own %d", all.own())
	case len(words) == 1 && words[0] == "end":
		return fmt.Sprintf("ended %d", all.end().Nanoseconds())
	}
	fail("expected \"make <count>\", \"own\" or \"end\", got " + strconv.Quote(question))
	return ""
}

// make starts so many goroutines more, and returns when the body of each has run and waits: how long until the last was
// created, and until the last body had run.
func (all *parties) make(count int) (created, ran time.Duration) {
	started := time.Now()
	for i := 0; i < count; i++ {
		go all.life()
	}
	created = time.Since(started)
	all.made += int64(count)
	waitFor(&all.arrived, all.made)
	return created, time.Since(started)
}

func (all *parties) life() {
	below(all.stackUse, all)
	atomic.AddInt64(&all.ended, 1)
}

// end has all goroutines end, and returns how long that took.
func (all *parties) end() time.Duration {
	started := time.Now()
	close(all.gate)
	waitFor(&all.ended, all.made)
	return time.Since(started)
}

// own returns the bytes in use by the runtime's own accounting: heap, stacks, and its bookkeeping. A collection comes first, so
// that garbage is not counted.
func (all *parties) own() uint64 {
	runtime.GC()
	var books runtime.MemStats
	runtime.ReadMemStats(&books)
	return books.StackInuse + books.HeapInuse + books.MSpanInuse + books.MCacheInuse + books.GCSys + books.OtherSys
}

const frameBytes = 1024

// below waits with at least so many bytes of the stack touched above: a goroutine's stack grows as it is used, and the
// collector takes back what is unused, so that it has to be in use during the wait.
func below(stackUse int, all *parties) {
	if stackUse > 0 {
		frame(stackUse, all)
		return
	}
	atomic.AddInt64(&all.arrived, 1)
	<-all.gate
}

// frame is a function of its own: below has to fit the stack that a goroutine begins with.
//
//go:noinline
func frame(stackUse int, all *parties) byte {
	var touched [frameBytes]byte
	for i := range touched {
		touched[i] = byte(stackUse)
	}
	below(stackUse-frameBytes, all)
	return touched[stackUse%frameBytes]
}

// waitFor yields until the number is reached.
func waitFor(number *int64, reached int64) {
	for atomic.LoadInt64(number) < reached {
		runtime.Gosched()
	}
}

// fail says why and ends the program.
func fail(why string) {
	os.Stderr.WriteString(why + "\n")
	os.Exit(2)
}
