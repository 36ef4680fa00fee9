package people

// ReadList is readList, for the fuzzer.
var ReadList = readList
