package main

import (
	"fmt"
	"runtime"
	"testing"
)

func TestPartiesArriveAndEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, stackUse := range []int{0, 1, 10000} {
		all := newParties(stackUse)
		all.make(3)
		all.make(100)
		if now := runtime.NumGoroutine(); now < before+103 {
			t.Errorf("%d goroutines where %d were before, and 103 should wait", now, before)
		}
		all.end()
		for runtime.NumGoroutine() > before {
			runtime.Gosched()
		}
	}
}

func TestWhatIsTouchedIsInTheBooks(t *testing.T) {
	const count, stackUse = 200, 60000
	all := newParties(stackUse)
	before := all.own()
	all.make(count)
	if grown := all.own() - before; grown < count*stackUse {
		t.Errorf("%d goroutines that touch %d bytes each are %d bytes in the books", count, stackUse, grown)
	}
	all.end()
}

func TestAnswersAreLines(t *testing.T) {
	all := newParties(0)
	var count, created, ran, errno int
	if read, err := fmt.Sscanf(all.reply("make 5"), "made %d %d %d %d", &count, &created, &ran, &errno); read != 4 || err != nil {
		t.Errorf("%d numbers, %v", read, err)
	}
	if count != 5 || created <= 0 || ran < created || errno != 0 {
		t.Errorf("made %d, %d, %d, %d", count, created, ran, errno)
	}
	if ended := all.reply("end"); len(ended) < len("ended 1") {
		t.Error(ended)
	}
}
