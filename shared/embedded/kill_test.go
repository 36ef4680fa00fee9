package embedded_test

func writeUntilKilled(dir string) {}
