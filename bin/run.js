#!/usr/bin/env node
'use strict'
void require('./load.js').load('cli/program.js').runProgram()
