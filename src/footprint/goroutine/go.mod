module ctxprof/parked

go 1.19
