// Plays ops on request, for ctxprof:
//
//	<program> channel|oneway|yield|pipe|pipe-floor [later]
//	→ ready <process id> <version of the Go that built it>
//	← play <ops>
//	→ <elapsed ns> <wall ns> <CPU ns>
//	← each <ops>
//	→ <elapsed ns> <wall ns> <CPU ns> <ns of the first op> <of the second> …
//	← clock <readings>
//	→ <elapsed ns>
//
// The first time is the loop's alone. The other two are taken just around it, of the monotonic clock and of the CPU time of
// this whole process: where they differ, something else had the CPU. Asked for each, it reads its clock after every op as
// well; what so many of those readings take by themselves is another question.
//
// "later" has goroutines play that are not the first of their program. Between the first line and the end next to nothing is allocated, so that the collector never runs.
package main

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	clockMonotonic      = 1
	clockProcessCPUTime = 2
	// Enough for caches and branch predictors to know the loop.
	warmUpTime = 2 * time.Millisecond
	warmUpOps  = 200
)

// Where an answer is written: not on the heap.
var room [(mostEach + 3) * 12]byte

var verbs = map[string]func(loop, int) []byte{
	"play":  playAll,
	"each":  playEach,
	"clock": readClock,
}

var loops = map[string]func() loop{
	"channel":    channelPingPong,
	"oneway":     oneway,
	"yield":      yield,
	"pipe":       pipePingPong,
	"pipe-floor": pipeFloor,
}

func main() {
	// A Ctrl-C reaches the whole process group, and the one who asks wants an answer still; the end of stdin is the end.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	runtime.GOMAXPROCS(1)
	later := len(os.Args) == 3 && os.Args[2] == "later"
	if len(os.Args) < 2 || loops[os.Args[1]] == nil || len(os.Args) == 3 && !later || len(os.Args) > 3 {
		fail("usage: " + os.Args[0] + " channel|oneway|yield|pipe|pipe-floor [later]")
	}
	play := func() { serve(loops[os.Args[1]]()) }
	if later {
		afterOthers(play)
	}
	play()
}

// serve answers until stdin ends, and with it the program.
func serve(loop loop) {
	for begun := time.Now(); time.Since(begun) < warmUpTime; {
		loop.play(warmUpOps)
	}
	answer([]byte("ready " + strconv.Itoa(os.Getpid()) + " " + runtime.Version()))
	var lines lineReader
	for {
		line, more := lines.next()
		if !more {
			os.Exit(0)
		}
		verb, number := wordsOf(line)
		answer(verbs[verb](loop, number))
	}
}

func playAll(loop loop, ops int) []byte {
	return timed(loop.play, ops)
}

// playEach reads the monotonic clock after every op.
func playEach(loop loop, ops int) []byte {
	return durations(timed(loop.each, clearedFor(ops)), ops)
}

// readClock notes as playEach does, with no op between two notes.
func readClock(_ loop, readings int) []byte {
	clearedFor(readings)
	beginNotes()
	for reading := 0; reading < readings; reading++ {
		note(reading)
	}
	return strconv.AppendInt(room[:0], moments[readings]-moments[0], 10)
}

// durations appends how long each op took.
func durations(line []byte, ops int) []byte {
	for op := 0; op < ops; op++ {
		line = strconv.AppendInt(append(line, ' '), moments[op+1]-moments[op], 10)
	}
	return line
}

// clearedFor has the pages that the moments of so many ops are written to there.
func clearedFor(ops int) int {
	if ops > mostEach {
		fail("more than " + strconv.Itoa(mostEach))
	}
	for at := 0; at <= ops; at++ {
		moments[at] = 0
	}
	return ops
}

// timed plays, and writes what it took.
func timed(play func(ops int), ops int) []byte {
	cpu := clock(clockProcessCPUTime)
	wall := clock(clockMonotonic)
	started := time.Now()
	play(ops)
	elapsed := time.Since(started)
	// In the same order again, so that each of the two has the reading of one clock in it.
	cpu = clock(clockProcessCPUTime) - cpu
	wall = clock(clockMonotonic) - wall
	// One way, an odd number of messages leaves the follower with the last of them still to take.
	if ops%2 != 0 {
		letFollowerWait()
	}
	line := strconv.AppendInt(room[:0], elapsed.Nanoseconds(), 10)
	line = strconv.AppendInt(append(line, ' '), wall, 10)
	return strconv.AppendInt(append(line, ' '), cpu, 10)
}

// wordsOf is what is to be done, and with how many.
func wordsOf(line string) (string, int) {
	if space := strings.IndexByte(line, ' '); space > 0 && verbs[line[:space]] != nil {
		if number, err := strconv.Atoi(line[space+1:]); err == nil && number >= 0 {
			return line[:space], number
		}
	}
	fail("expected \"play <ops>\", \"each <ops>\" or \"clock <readings>\", got " + strconv.Quote(line))
	return "", 0
}

// clock reads a clock by a system call of its own, in nanoseconds.
func clock(id uintptr) int64 {
	var now syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		fail("clock_gettime: " + errno.Error())
	}
	return now.Nano()
}

// A lineReader splits stdin into lines.
type lineReader struct {
	buffer [256]byte
	filled int
}

// next waits for a line and returns it without its end, or false at the end of stdin.
//
// The wait is a raw system call, which the runtime does not know of. During an ordinary one its monitor thread takes the
// processor away from this goroutine, and each play begins with waking that thread and another: 3 kernel switches of other
// threads per play, against 0.4.
func (lines *lineReader) next() (string, bool) {
	for {
		for at, each := range lines.buffer[:lines.filled] {
			if each == '\n' {
				line := string(lines.buffer[:at])
				lines.filled = copy(lines.buffer[:], lines.buffer[at+1:lines.filled])
				return line, true
			}
		}
		free := lines.buffer[lines.filled:]
		if len(free) == 0 {
			fail("a line of more than " + strconv.Itoa(len(lines.buffer)) + " bytes")
		}
		length, _, errno := syscall.RawSyscall(syscall.SYS_READ, 0, uintptr(unsafe.Pointer(&free[0])), uintptr(len(free)))
		switch {
		case errno == syscall.EINTR:
		case errno != 0:
			fail("reading stdin: " + errno.Error())
		case length == 0 && lines.filled > 0:
			fail("stdin ended within a line")
		case length == 0:
			return "", false
		default:
			lines.filled += int(length)
		}
	}
}

// answer writes a line to stdout, by a raw system call too: its reader may take the CPU in the middle of it.
func answer(line []byte) {
	for left := append(line, '\n'); len(left) > 0; {
		length, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, 1, uintptr(unsafe.Pointer(&left[0])), uintptr(len(left)))
		if errno != 0 && errno != syscall.EINTR {
			fail("writing to stdout: " + errno.Error())
		}
		if errno == 0 {
			left = left[length:]
		}
	}
}

// fail says why and ends the program.
func fail(why string) {
	os.Stderr.WriteString(why + "\n")
	os.Exit(2)
}
