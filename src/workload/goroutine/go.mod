module ctxprof/goroutine

go 1.19
