import{a,b}from"./chunk-3REWLPPB.js";import"./chunk-NY35P4PH.js";import"./chunk-TXO2XVVZ.js";import"./chunk-Y6UBLQ6M.js";import"./chunk-MBHBFNNH.js";export{a as show,b as state};
