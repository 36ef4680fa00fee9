package embedded

// OpenOn opens a store on a file system that a test can break.
var OpenOn = openOn
