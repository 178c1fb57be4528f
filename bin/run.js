#!/usr/bin/env node
'use strict'
const module_ = require('node:module')

// The compiled code is cached between runs where Node can do it (22.1 and later).
module_.enableCompileCache?.()

void require('../dist/bundle/cli/program.js').runProgram()
