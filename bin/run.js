#!/usr/bin/env node
import module from 'node:module'

// The compiled code is cached between runs where Node can do it (22.1 and later): it halves the start-up time.
module.enableCompileCache?.()

const { runProgram } = await import('../dist/src/cli/program.js')
await runProgram(import.meta.url)
