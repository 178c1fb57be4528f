import { testDamagedCompressed } from '../support/damaged-compressed.js'

testDamagedCompressed("the system's libraries, where they load")
